package xds_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// TestCertificateThatComesLate: a proxy whose certificate is not there when it starts is ready, serves its other ports, and says what it lacks. Once
// the file is there, the port is served within a few seconds, and nobody has to do anything.
func TestCertificateThatComesLate(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		var ahead atomic.Int64
		f := newFixtureWith(t, xds.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
		f.origin("ecs")
		f.origin("eks")
		dir, ca := t.TempDir(), certtest.New(t, "edge")
		other, err := loopback.Reserve(f.listen.Host())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.Release)
		f.tls = map[int]*policy.ListenerTLS{other.Number(): {
			Certificates: []policy.KeyPair{{CertificateFile: dir + "/late.pem", KeyFile: dir + "/late.key"}}, MinVersion: "1.2",
		}}
		pay := f.service("pay", map[string]int32{"eks": 10000}, "eks", "ecs")
		pay.Listener.Port = int32(other.Number())
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), pay)
		f.proxy(version, "p1")
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Errorf("the other port: %s", got)
		}
		lacks := func() bool {
			p, _ := f.fleet.Proxy("p1")
			return p.State == xds.StateRefused && p.LastNack != nil && strings.Contains(p.LastNack.Message, "/late.") && strings.Contains(p.Detail, "names files")
		}
		f.await("the missing file to be shown", lacks)
		refused, _ := f.fleet.Proxy("p1")
		t.Logf("%s: %s (%s)", refused.State, refused.Detail, refused.LastNack.Message)

		ahead.Add(int64(time.Minute)) // the file is still not there
		f.fleet.Fold(0)               // notes that there is something to try again
		ahead.Add(int64(time.Minute))
		f.fleet.Fold(0)
		f.await("the next refusal", func() bool {
			p, _ := f.fleet.Proxy("p1")
			return p.LastNack.Time.After(refused.LastNack.Time.Add(time.Minute)) && lacks()
		})

		ca.Write(dir, "late", ca.Issue(certtest.Spec{DNS: []string{"pay.test"}}))
		f.await("the port to be served", func() bool {
			ahead.Add(int64(time.Second))
			f.fleet.Fold(0)
			return overTLS(t, ca, other.Addr(), "pay.test") == "200 eks"
		})
		f.await("all to be well", func() bool {
			p, _ := f.fleet.Proxy("p1")
			return p.State == xds.StateOK && p.AckedRevision == p.WantedRevision
		})
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Errorf("the other port: %s", got)
		}

		// Another server knows the proxy from what that tells: nothing is sent again, and its certificates stay.
		f.restart()
		f.await("the proxy to be back", func() bool { p, _ := f.fleet.Proxy("p1"); return p.State == xds.StateOK && p.Connected })
		c := ca.Issue(certtest.Spec{DNS: []string{"pay.test"}})
		ca.Write(dir, "late", c)
		f.await("the rotated certificate", func() bool {
			conn, err := tls.Dial("tcp", other.Addr(), &tls.Config{ServerName: "pay.test", RootCAs: pool(ca)})
			if err != nil {
				return false
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(c.Serial) == 0
		})
	})
}

func pool(ca *certtest.CA) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	return roots
}

// overTLS asks a port for a host and returns status and body, or what went wrong.
func overTLS(t *testing.T, ca *certtest.CA, address, host string) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: host, RootCAs: pool(ca)}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var body string
	_, _ = fmt.Fscan(resp.Body, &body)
	return fmt.Sprint(resp.StatusCode, " ", body)
}
