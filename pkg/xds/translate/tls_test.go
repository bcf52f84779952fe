package translate_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// overTLS is a service whose origins speak TLS; PORT and the files of two authorities are filled in.
const overTLS = `{apiVersion: crossfade/v1, kind: Service, name: pay, hosts: [pay.test], primary: good, listener: {port: PORT}, retries: {on: [none]}, origins: [
{name: good, static: {endpoints: ["127.0.0.1:1"]}, tls: {serverName: pay.internal, caFile: %[1]q}},
{name: h2, protocol: http2, static: {endpoints: ["127.0.0.1:1"]}, tls: {serverName: pay.internal, caFile: %[1]q}},
{name: believed, static: {endpoints: ["127.0.0.1:1"]}, tls: {serverName: pay.internal, insecureSkipVerify: true}},
{name: checked, static: {endpoints: ["127.0.0.1:1"]}, tls: {serverName: pay.internal, caFile: %[1]q}, healthCheck: {path: /healthz, interval: 100ms, unhealthyThreshold: 1, healthyThreshold: 1}},
{name: other, static: {endpoints: ["127.0.0.1:1"]}, tls: {serverName: pay.internal, caFile: %[1]q}}],
pins: [{name: h2, origin: h2, header: {name: x-origin, exact: h2}}, {name: believed, origin: believed, header: {name: x-origin, exact: believed}},
{name: checked, origin: checked, header: {name: x-origin, exact: checked}}, {name: other, origin: other, header: {name: x-origin, exact: other}}]}
`

// tlsLab is an Envoy that trusts one authority.
type tlsLab struct {
	*lab
	trusted *authority
}

func newTLSLab(t *testing.T, version string) *tlsLab {
	t.Helper()
	trusted := newAuthority(t, "trusted")
	return &tlsLab{newLab(t, version, fmt.Sprintf(overTLS, trusted.file)), trusted}
}

// serve puts an origin at a server with a certificate and returns the server.
func (l *tlsLab) serve(name string, cert tls.Certificate) *origin {
	l.t.Helper()
	o := startTLSOrigin(l.t, cert)
	l.setEndpoints("pay", name, o.address)
	l.awaitHost("pay/"+name, o.address.String())
	return o
}

// ask asks an origin and returns the status, and the body or the cause.
func (l *tlsLab) ask(name string) (int, string) {
	l.t.Helper()
	r := l.get("pay.test", "/", "x-origin: "+name)
	var failed struct{ Error struct{ Code, Cause string } }
	if json.Unmarshal([]byte(r.body), &failed) == nil {
		return r.StatusCode, failed.Error.Code + " " + failed.Error.Cause
	}
	return r.StatusCode, r.body
}

// TestTLS asks origins with certificates that are right and wrong. What is wrong with one is in the answer and in the access log.
func TestTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newTLSLab(t, version)
		right := l.trusted.issue("pay.internal", time.Hour)
		unknown := newAuthority(t, "unknown")
		for _, c := range []struct {
			what, origin string
			cert         tls.Certificate
			status       int
			words        []string
		}{
			{"the right name", "good", right, 200, []string{"HTTP/1.1 http/1.1 pay.internal"}},
			{"the right name over HTTP/2", "h2", right, 200, []string{"HTTP/2.0 h2 pay.internal"}},
			{"anybody, as told", "believed", unknown.issue("nobody.internal", -time.Hour), 200, []string{"HTTP/1.1 http/1.1 pay.internal"}},
			{"another name", "other", l.trusted.issue("other.internal", time.Hour), 503, []string{"connect_failed", "CERTIFICATE_VERIFY_FAILED", "SAN"}},
			{"an authority that is not trusted", "other", unknown.issue("pay.internal", time.Hour), 503, []string{"connect_failed", "CERTIFICATE_VERIFY_FAILED", "unable_to_get_local_issuer_certificate"}},
			{"a certificate that has run out", "other", l.trusted.issue("pay.internal", -time.Hour), 503, []string{"connect_failed", "CERTIFICATE_VERIFY_FAILED", "certificate_has_expired"}},
			{"the right name in other letters", "other", l.trusted.issue("PAY.internal", time.Hour), 200, nil},
		} {
			l.serve(c.origin, c.cert)
			status, said := l.ask(c.origin)
			if status != c.status {
				t.Errorf("%s: %d %s, want %d", c.what, status, said, c.status)
			}
			for _, w := range c.words {
				if !strings.Contains(said, w) {
					t.Errorf("%s: %q is not in %q", c.what, w, said)
				}
			}
			t.Logf("%s: %d %s", c.what, status, said)
		}
		l.eventually("the access log to name the cause", func() bool {
			return strings.Contains(l.envoy.Logs(), "certificate_has_expired")
		})
	})
}

// TestTLSToClearText: an origin that does not speak TLS, which is how a forgotten setting looks.
func TestTLSToClearText(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newTLSLab(t, version)
		status, said := l.ask("good") // which the lab itself serves, in clear text
		if status != 503 || !strings.Contains(said, "WRONG_VERSION_NUMBER") {
			t.Errorf("%d %s", status, said)
		}
	})
}

// TestHealthChecksOverTLS: checks go the way of requests, so that a certificate that is wrong is a check that fails, whatever is wrong with it.
func TestHealthChecksOverTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newTLSLab(t, version)
		well := startTLSOrigin(t, l.trusted.issue("pay.internal", time.Hour))
		wrong := map[string]*origin{
			"another name":         startTLSOrigin(t, l.trusted.issue("other.internal", time.Hour)),
			"run out":              startTLSOrigin(t, l.trusted.issue("pay.internal", -time.Hour)),
			"an unknown authority": startTLSOrigin(t, newAuthority(t, "unknown").issue("pay.internal", time.Hour)),
		}
		addresses := []netip.AddrPort{well.address}
		for _, o := range wrong {
			addresses = append(addresses, o.address)
		}
		l.setEndpoints("pay", "checked", addresses...)
		l.eventually("the one whose check passes to be used alone", func() bool {
			for range 10 {
				if status, _ := l.ask("checked"); status != 200 {
					return false
				}
			}
			return well.asked("/healthz") > 0
		})
		hosts, err := l.envoy.Hosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for what, o := range wrong {
			if n := o.asked("/healthz"); n > 0 {
				t.Errorf("%s: %d checks went through in spite of the certificate", what, n)
			}
			for _, h := range hosts {
				if h.Cluster == "pay/checked" && h.Address == o.address.String() && !slices.Contains(h.Failing, "failed_active_health_check") {
					t.Errorf("%s: Envoy takes it for well: %+v", what, h)
				}
			}
		}
	})
}

// TestMissingAuthorities: a cluster whose file is not on the proxy is refused in words that name the file, and what was there goes on.
func TestMissingAuthorities(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newTLSLab(t, version)
		l.serve("good", l.trusted.issue("pay.internal", time.Hour))
		changed := *l.intent.service(t, "pay")
		changed.Origins = append(changed.Origins[:0:0], changed.Origins...)
		encrypted := *changed.Origins[0].TLS
		encrypted.CAFile = "/nonexistent/ca.pem"
		changed.Origins[0].TLS = &encrypted
		for _, c := range translate.Build(nil, append(l.intent.services[:0:0], &changed), translate.Options{}).Clusters {
			if c.Name == "pay/good" {
				l.ads.Set(c)
			}
		}
		l.eventually("a refusal", func() bool { return len(l.ads.Refused()) > 0 })
		if words := l.ads.Refused()[0]; !strings.Contains(words, "/nonexistent/ca.pem") {
			t.Errorf("refused: %s", words)
		} else {
			t.Log(words)
		}
		if status, said := l.ask("good"); status != 200 {
			t.Errorf("the old cluster answers %d %s", status, said)
		}
	})
}

// asked counts the requests for a path.
func (o *origin) asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.seen {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}
