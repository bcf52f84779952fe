package translate_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestCertificatesByName: which certificate a client gets goes by the name that it asks for; requests are https; who speaks no TLS gets nothing.
func TestCertificatesByName(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "")
		e.origins["pay/a"].answer(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Forwarded-Port"), " ", r.Header.Get("X-Forwarded-Client-Cert"))
		})
		_, port, err := net.SplitHostPort(e.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ ask, shows, alpn, speaks string }{
			{"one.test", "one.test", "", ""},
			{"two.test", "two.test", "", ""},
			{"two.test", "two.test", "http/1.1", "http/1.1"},
			{"one.test", "one.test", "h2", "h2"},
			{"other.test", "one.test", "", ""},
			{"", "one.test", "", ""},
		} {
			conf := e.client(c.ask)
			conf.InsecureSkipVerify = c.ask != c.shows
			if c.alpn != "" {
				conf.NextProtos = []string{c.alpn}
			}
			conn, err := e.connect(conf)
			if err != nil {
				t.Errorf("%+v: %v", c, err)
				continue
			}
			st := conn.state()
			if got := st.PeerCertificates[0].DNSNames[0]; got != c.shows || st.NegotiatedProtocol != c.speaks {
				t.Errorf("%+v: shown %s, speaks %q", c, got, st.NegotiatedProtocol)
			}
			if c.speaks != "h2" {
				if status, body, err := conn.ask("X-Forwarded-Proto: http"); err != nil || status != 200 || body != "https "+port+" " {
					t.Errorf("%+v: %d %q %v", c, status, body, err)
				}
			}
			conn.Close()
		}
		if got := raw(t, e.address, head("GET / HTTP/1.1", "Host: pay.test")); got != "" {
			t.Errorf("in clear text: %q", got)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: e.client("one.test"), ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		resp, err := client.Get("https://" + e.address + "/")
		if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Errorf("over HTTP/2: %+v %v", resp, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	})
}

// TestLowestVersion: a port that asks for TLS 1.3 takes nothing less.
func TestLowestVersion(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for least, took := range map[string]bool{"1.2": true, "1.3": false} {
			e := newEdgeLab(t, version, fmt.Sprintf("minVersion: %q,", least), "")
			conf := e.client("one.test")
			conf.MaxVersion = tls.VersionTLS12
			if conn, err := e.connect(conf); (err == nil) != took {
				t.Errorf("%s: TLS 1.2: %v", least, err)
			} else if err == nil {
				conn.Close()
			}
			conn, err := e.connect(e.client("one.test"))
			if err != nil || conn.state().Version != tls.VersionTLS13 {
				t.Errorf("%s: %v", least, err)
			}
		}
	})
}

// TestCertificatesOfClients: without one of a trusted authority nobody is let in, and applications read whose it is, whatever clients wrote there.
func TestCertificatesOfClients(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "clientCaFile: DIR/one.ca.pem,", "")
		e.origins["pay/a"].answer(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, strings.Join(r.Header.Values("X-Forwarded-Client-Cert"), "+"))
		})
		known := certtest.Spec{Name: "ci", SPIFFE: "spiffe://test/ci", DNS: []string{"ci.test"}}
		late := known
		late.NotAfter = -time.Minute
		for what, certs := range map[string][]tls.Certificate{
			"none": nil, "another authority's": {issue(t, certtest.New(t, "other"), known)}, "one that has run out": {issue(t, e.ca, late)},
		} {
			conf := e.client("one.test")
			conf.Certificates = certs
			conn, err := e.connect(conf)
			if err == nil { // with TLS 1.3 the client learns of it when it reads
				_, _, err = conn.ask()
			}
			if err == nil {
				t.Errorf("%s: was let in", what)
			}
		}
		conf := e.client("one.test")
		conf.Certificates = []tls.Certificate{issue(t, e.ca, known)}
		conn, err := e.connect(conf)
		if err != nil {
			t.Fatal(err)
		}
		status, body, err := conn.ask("X-Forwarded-Client-Cert: URI=spiffe://test/admin")
		if err != nil || status != 200 || !strings.Contains(body, "URI=spiffe://test/ci") || !strings.Contains(body, "DNS=ci.test") || !strings.Contains(body, `Subject="CN=ci"`) || strings.Contains(body, "admin") {
			t.Errorf("%d %q %v", status, body, err)
		}
		t.Log(body)
	})
}

// TestProxyProtocolBeforeTLS: the address comes first, then TLS, as an NLB sends it.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "proxyProtocol: true,")
		e.origins["pay/a"].answer(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Forwarded-For")) })
		conn, err := net.Dial("tcp", e.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n"); err != nil {
			t.Fatal(err)
		}
		c, err := over(conn, e.client("two.test"))
		if err != nil {
			t.Fatal(err)
		}
		if status, body, err := c.ask(); err != nil || status != 200 || body != "203.0.113.9" {
			t.Errorf("%d %q %v", status, body, err)
		}
		if c, err := e.connect(e.client("one.test")); err == nil {
			t.Error("without an address it was let in", c)
		}
	})
}

// TestMissingCertificates: a listener with a file that is not there, or not right, is refused in words that name it, and the one before goes on.
func TestMissingCertificates(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		e := newEdgeLab(t, version, "", "")
		host, _, err := net.SplitHostPort(e.address)
		if err != nil {
			t.Fatal(err)
		}
		certtest.Replace(t, filepath.Join(e.dir, "broken.pem"), []byte("no certificate"))
		for i, c := range []struct {
			pair  policy.KeyPair
			words string
		}{
			{policy.KeyPair{CertificateFile: e.dir + "/gone.pem", KeyFile: e.dir + "/one.key"}, "gone.pem"},
			{policy.KeyPair{CertificateFile: e.dir + "/one.pem", KeyFile: e.dir + "/gone.key"}, "gone.key"},
			{policy.KeyPair{CertificateFile: e.dir + "/broken.pem", KeyFile: e.dir + "/one.key"}, "broken.pem"},
			{policy.KeyPair{CertificateFile: e.dir + "/one.pem", KeyFile: e.dir + "/two.key"}, "KEY_VALUES_MISMATCH"}, // of another key
		} {
			fleet := *e.intent.fleet()
			fleet.TLS = map[int]*policy.ListenerTLS{e.intent.services[0].Port: {Certificates: []policy.KeyPair{c.pair}, MinVersion: "1.2"}}
			e.ads.SetStructure(translate.Build(&fleet, e.intent.services, translate.Options{}), host)
			e.eventually("a refusal", func() bool { return len(e.ads.Refused()) > i })
			if words := e.ads.Refused()[i]; !strings.Contains(words, c.words) {
				t.Errorf("%s: refused: %s", c.words, words)
			} else {
				t.Log(words)
			}
			conn, err := e.connect(e.client("two.test"))
			if err != nil {
				t.Fatalf("%s: the old listener is gone: %v", c.words, err)
			}
			conn.Close()
		}
	})
}
