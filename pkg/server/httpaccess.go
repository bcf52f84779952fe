package server

import (
	"net/http"
	"path"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
)

// GuardHTTP lets those to the handler of [HTTP] whose certificate names somebody with a role: /debug/ is for admins of all services, /healthz and /readyz
// are for everybody. A request without TLS is not asked: its listener is on loopback.
func (a *API) GuardHTTP(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := a.httpRefusal(r); refused != nil {
			a.refused(r.Context(), refused)
			say(w, http.StatusForbidden, refused.Err().Error())
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (a *API) httpRefusal(r *http.Request) *access.Refusal {
	rules := a.gate.rules.Load()
	if rules == nil || r.TLS == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return nil
	}
	right, method := access.Read, "GET /metrics"
	if strings.HasPrefix(path.Clean(r.URL.Path)+"/", "/debug/") {
		right, method = access.Administer, "GET /debug/"
	}
	name, err := nameOf(r)
	if err != nil {
		return &access.Refusal{Method: method, Why: err.Error()}
	}
	return access.DecideWithout(rules.Of(name), method, right)
}

// nameOf is the name in the certificate of who makes a request, empty if it showed none.
func nameOf(r *http.Request) (string, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", nil
	}
	return identity.Of(r.TLS.VerifiedChains[0][0])
}

// Sees returns which services who makes an HTTP request may see; nil: all.
func (a *API) Sees(r *http.Request) func(service string) bool {
	rules := a.gate.rules.Load()
	if rules == nil || r.TLS == nil {
		return nil
	}
	name, err := nameOf(r)
	if err != nil {
		name = ""
	}
	g := rules.Of(name)
	if g.MayAll(access.Read) {
		return nil
	}
	return func(service string) bool { return g.May(access.Read, service) }
}
