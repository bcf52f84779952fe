package server_test

import (
	"crypto/x509"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// TestRefusedCallsAreCounted: each one, also where the log and the history keep one line for many; and nothing else is.
func TestRefusedCallsAreCounted(t *testing.T) {
	var mu sync.Mutex
	counted := map[[2]string]int{}
	g := startGuarded(t, server.Config{Controller: newController(t), Denied: func(method, reason string) {
		mu.Lock()
		defer mu.Unlock()
		counted[[2]string{method, reason}]++
	}}, map[string][]access.Member{access.Viewer: {{Name: identity.Pattern(id("vic"))}}})
	vic, _ := g.as("vic")
	nobody, _ := g.with(certtest.Spec{SPIFFE: "https://example.test/of-no-trust-domain"})
	for range 3 {
		if _, err := vic.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders"}); status.Code(err) != codes.PermissionDenied {
			t.Fatal(err)
		}
	}
	if _, err := vic.List(t.Context(), &crossfadev1.ListRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.List(t.Context(), &crossfadev1.ListRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Fatal(err)
	}
	web := g.api.GuardHTTP(http.NotFoundHandler())
	for _, chains := range [][][]*x509.Certificate{nil, {{{}}}} {
		r := httptest.NewRequest(http.MethodGet, "https://control.test/metrics", nil)
		r.TLS.VerifiedChains = chains
		w := httptest.NewRecorder()
		if web.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[[2]string]int{
		{"Rollback", "no_role"}: 3, {"List", "no_name"}: 1, {"GET /metrics", "no_certificate"}: 1, {"GET /metrics", "no_name"}: 1,
	}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}
