package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// TestWhoMayWhatByHTTP: health is for everybody, metrics for who may see something, and profiles for admins of all services.
func TestWhoMayWhatByHTTP(t *testing.T) {
	g := startGuarded(t, server.Config{Controller: newController(t)}, tableRoles)
	metrics := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sees := g.api.Sees(r)
		for _, service := range []string{"orders", "pay"} {
			if sees == nil || sees(service) {
				_, _ = io.WriteString(w, service+" ")
			}
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/", server.HTTP(func() bool { return true }, metrics))
	mux.HandleFunc("/debug/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "profile") })
	s := httptest.NewUnstartedServer(g.api.GuardHTTP(mux))
	host := loopback.Host()
	_ = s.Listener.Close()
	var err error
	if s.Listener, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
		t.Fatal(err)
	}
	own := g.config(certtest.Spec{IPs: []string{host}, Name: "server"})
	own.ClientAuth, own.ClientCAs = tls.VerifyClientCertIfGiven, own.RootCAs
	s.TLS = own
	s.StartTLS()
	defer s.Close()
	for _, c := range []struct{ who, path, want string }{
		{"", "/healthz", "ok"},
		{"", "/readyz", "ok"},
		{"", "/metrics", "403 no verified certificate"},
		{"", "/", "403 no verified certificate"},
		{"", "/debug/pprof/", "403 no verified certificate"},
		{"stranger", "/metrics", "403 \"" + id("stranger") + "\": may not GET /metrics: that needs role viewer"},
		{"stranger", "/healthz/", "403 "},
		{"viewer", "/metrics", "orders pay "},
		{"viewer-orders", "/metrics", "orders "},
		{"viewer", "/debug/pprof/", "403 "},
		{"admin-orders", "/debug/pprof/", "403 "},
		{"operator", "//debug/pprof/", "403 "},
		{"operator", "/x/../debug/pprof/", "403 "},
		{"admin", "/debug/pprof/", "profile"},
		{"admin", "/metrics", "orders pay "},
	} {
		config := g.config(certtest.Spec{SPIFFE: id(c.who)})
		if c.who == "" {
			config.Certificates = nil
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = c.path
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		client.CloseIdleConnections()
		text := strings.TrimSuffix(string(body), "\n")
		if got.StatusCode == http.StatusForbidden {
			text = "403 " + text
		}
		if err != nil || got.StatusCode != http.StatusOK && got.StatusCode != http.StatusForbidden || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s as %q: %d %s, %v; want %s", c.path, c.who, got.StatusCode, text, err, c.want)
		}
	}
	plain := httptest.NewRecorder()
	g.api.GuardHTTP(mux).ServeHTTP(plain, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if plain.Code != http.StatusOK || plain.Body.String() != "orders pay " {
		t.Errorf("without TLS, on loopback: %d %s", plain.Code, plain.Body)
	}
}
