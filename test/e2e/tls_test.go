package e2e

import (
	"fmt"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// split changes weights and waits until every proxy that is connected has them, which shows that streams work.
func (s *secureWorld) split(eks int32, acked int32) {
	s.t.Helper()
	got, err := s.API.SetSplit(s.t.Context(), &crossfadev1.SetSplitRequest{Service: "one", Weights: map[string]int32{"eks": eks}})
	if err != nil {
		s.t.Fatal(err)
	}
	if f := got.GetChange().GetFleet(); f.GetAcked() != acked || f.GetConnected() != acked {
		s.t.Fatalf("%d of %d proxies have acknowledged, want %d", f.GetAcked(), f.GetConnected(), acked)
	}
}

// connections is how many connections to the control plane a proxy has made.
func (s *secureWorld) connections() (out []uint64) {
	s.t.Helper()
	for _, p := range s.Proxies {
		dump, err := p.Get(s.t.Context(), "/clusters")
		if err != nil {
			s.t.Fatal(err)
		}
		var n uint64
		if _, err := fmt.Sscanf(after(dump, "::cx_total::"), "%d", &n); err != nil {
			s.t.Fatalf("%v in\n%s", err, dump)
		}
		out = append(out, n)
	}
	return out
}

// after is what of the lines about the cluster xds follows a word.
func after(text, word string) string {
	for i := 0; i+len(word) < len(text); i++ {
		if text[i:i+len(word)] == word {
			start := i
			for start > 0 && text[start-1] != '\n' {
				start--
			}
			if text[start:start+5] == "xds::" {
				return text[i+len(word):]
			}
		}
	}
	return ""
}

// TestEverythingSpeaksTLS: a service is applied and rolled back with proof, and who did it is verified.
func TestEverythingSpeaksTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newSecureWorld(t, version, 2)
		w.apply(w.service("one", "http1", 5000))
		w.ready()
		load := w.load("one", loadgen.HTTP1, 200)
		w.secureCtl("split", "set", "one", "eks=100%").want(t, 0, "2/2")
		w.secureCtl("rollback", "one").want(t, 0, "no new request to eks")
		if r := w.newest("one"); !r.GetVerified() || !strings.HasPrefix(r.GetWho(), "spiffe://example.test/people/ann (as ") {
			t.Errorf("who rolled back: %q, verified: %v", r.GetWho(), r.GetVerified())
		}
		w.ctl("get", "services").want(t, 5, "TLS")
		w.ctl("get", "services", "--tls-ca", w.tls.Client.CA, "--tls-cert", w.tls.Client.Cert, "--tls-key", w.tls.Client.Key).want(t, 5, "is not believed to be the server", "--tls-server-name")
		noneFailed(t, load(), 100)
	})
}

// TestRotation: certificates of proxies and of the control plane, and then the authority of all, change under load. No request fails, streams go on where
// they may, and what is not good any more is not used.
func TestRotation(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newSecureWorld(t, version, 2)
		w.apply(w.service("one", "http1", 0))
		w.ready()
		load := w.load("one", loadgen.HTTP1, 200)
		w.split(1000, 2)
		before := w.connections()
		first := []certtest.Cert{w.proxies[w.Proxies[0].ID], w.proxies[w.Proxies[1].ID]}

		rotate := func(ca *certtest.CA) {
			for _, p := range w.Proxies {
				w.issue(w.dir(p), p.ID, ca, "default")
			}
			control := ca.Issue(certtest.Spec{DNS: []string{controlName}})
			certtest.Replace(t, w.tls.Server.Cert, control.PEM)
			certtest.Replace(t, w.tls.Server.Key, control.Key)
			person := ca.Issue(certtest.Spec{SPIFFE: "spiffe://example.test/people/ann"})
			certtest.Replace(t, w.tls.Client.Cert, person.PEM)
			certtest.Replace(t, w.tls.Client.Key, person.Key)
			w.says("certificates read anew", "serial="+control.Serial.Text(16))
		}
		rotate(w.ca)
		w.split(2000, 2)
		if now := w.connections(); now[0] != before[0] || now[1] != before[1] {
			t.Errorf("streams did not go on: %v connections, before %v", now, before)
		}

		// The first certificates are revoked: whoever still showed them would be out.
		certtest.Replace(t, w.tls.Server.CRL, w.ca.Revoke(first...))
		w.says("connection ended", w.Proxies[0].ID, "reason=revoked")
		w.says("connection ended", w.Proxies[1].ID, "reason=revoked")
		w.back()
		w.split(3000, 2)

		// The authority changes: both are believed, everybody gets a certificate of the new one, the old one is believed no more.
		next := certtest.New(t, "next authority")
		w.believe(w.ca, next)
		rotate(next)
		w.split(4000, 2)
		w.believe(next)
		certtest.Replace(t, w.tls.Server.CRL, next.Revoke())
		w.says("connection ended", w.Proxies[0].ID, "reason=unknown_authority")
		w.back()
		w.split(5000, 2)
		w.secureCtl("rollback", "one").want(t, 0, "no new request to eks")
		noneFailed(t, load(), 500)
	})
}

// TestProxiesAreHeldToTheirFleet: a proxy that was revoked is cut off and serves on with what it has; one of another fleet is never let in, and the
// settings file says which are, also while the server runs.
func TestProxiesAreHeldToTheirFleet(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newSecureWorld(t, version, 2)
		w.apply(w.service("one", "http1", 0))
		w.ready()
		load := w.load("one", loadgen.HTTP1, 200)
		w.split(1000, 2)

		certtest.Replace(t, w.tls.Server.CRL, w.ca.Revoke(w.proxies[w.Proxies[1].ID]))
		w.says("connection ended", w.Proxies[1].ID, "reason=revoked")
		w.says("connection refused", "listener=xds", "reason=revoked")
		w.await("the proxy to be lost", func() bool { return w.connected() == 1 })
		w.split(2000, 1)
		noneFailed(t, load(), 100)

		// With a new certificate it is back; the file decides.
		w.issue(w.dir(w.Proxies[1]), w.Proxies[1].ID, w.ca, "default")
		w.back()
		certtest.Replace(t, w.config, []byte(secureSettings+"proxies_: 1\n"))
		w.says("the settings file was not read anew", "proxies_")
		w.split(3000, 2)
		other := fmt.Sprintf("proxies: [{fleet: default, name: \"spiffe://example.test/fleet/default/%s\"}]\nroles: {admin: [\"spiffe://example.test/people/*\"]}\n", w.Proxies[0].ID)
		certtest.Replace(t, w.config, []byte(other))
		w.says("proxy refused", w.Proxies[1].ID, "lets it no more")
		w.await("the proxy to be lost", func() bool { return w.connected() == 1 })
		certtest.Replace(t, w.config, []byte(secureSettings))
		w.back()

		// Somebody else's proxy.
		w.fleet = "edge"
		thief, err := w.AddProxy(t.Context(), "default", 1)
		if err != nil {
			t.Fatal(err)
		}
		w.says("proxy refused", thief.ID, "spiffe://example.test/fleet/edge/"+thief.ID)
		if n := w.connected(); n != 2 {
			t.Errorf("%d proxies are connected, want 2", n)
		}
		if listeners, err := thief.Listeners(t.Context()); err != nil || len(listeners) > 1 { // that of readiness
			t.Errorf("it listens: %v, %v", listeners, err)
		}
	})
}

// TestMirrorsSpeakTLS: copies travel by TLS to the comparator, which asks both origins again by TLS, with HTTP/1.1 and with gRPC; and a comparator of
// another name than the control plane's gets none.
func TestMirrorsSpeakTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newSecureWorld(t, version, 1)
		w.apply(w.service("one", "http1", 0), w.service("rpc", "http2", 0))
		w.ready()
		load := w.load("one", loadgen.HTTP1, 100)
		calls := w.calls("rpc")
		for _, name := range []string{"one", "rpc"} {
			m := experiment(name)
			m.GrpcMethods, m.MaxRps = []string{"grpc.testing.TestService/EmptyCall"}, 200
			if _, err := w.API.StartMirror(t.Context(), &crossfadev1.StartMirrorRequest{Mirror: m}); err != nil {
				t.Fatal(err)
			}
		}
		var last *crossfadev1.MirrorReport
		compared := func(name string, more int64) func() bool {
			return func() bool {
				got, err := w.API.GetMirrorReport(t.Context(), &crossfadev1.GetMirrorReportRequest{Name: name})
				if err != nil {
					t.Fatal(err)
				}
				last = got.GetReport()
				return last.GetCompared() >= more
			}
		}
		for _, name := range []string{"one", "rpc"} {
			w.await("pairs of "+name+" to be compared", compared(name, 20))
		}
		// Rotated, it goes on.
		before := last.GetCompared()
		for _, p := range w.Proxies {
			w.issue(w.dir(p), p.ID, w.ca, "default")
		}
		control := w.ca.Issue(certtest.Spec{DNS: []string{controlName}})
		certtest.Replace(t, w.tls.Server.Cert, control.PEM)
		certtest.Replace(t, w.tls.Server.Key, control.Key)
		w.says("certificates read anew", "serial="+control.Serial.Text(16))
		w.await("more pairs of rpc", compared("rpc", before+50))
		noneFailed(t, load(), 100)
		if done, err := calls(); err != nil || done < 100 {
			t.Errorf("%d calls, %v", done, err)
		}
	})
}
