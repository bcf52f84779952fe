package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
)

// sight is what a caller may see, by the rules that hold when it is asked. It is of one call, and of one goroutine.
type sight struct {
	gate   *gate
	name   string
	rules  *access.Rules
	grants access.Grants
}

func (a *API) sight(ctx context.Context) *sight {
	caller, err := identity.FromContext(ctx)
	if err != nil { // such a call is not let in
		caller = identity.Caller{}
	}
	return &sight{gate: &a.gate, name: caller.Name}
}

// all says whether the caller may see everything.
func (s *sight) all() bool {
	rules := s.gate.rules.Load()
	if rules == nil {
		return true
	}
	if rules != s.rules {
		s.rules, s.grants = rules, rules.Of(s.name)
	}
	return s.grants.MayAll(access.Read)
}

// service says whether the caller may see a service.
func (s *sight) service(name string) bool { return s.all() || s.grants.May(access.Read, name) }

// revision says whether the caller may see a revision. Those of fleets are for all who may see something.
func (s *sight) revision(r *crossfadev1.Revision) bool {
	for _, doc := range []*crossfadev1.Document{r.GetBefore(), r.GetAfter()} {
		name := ""
		switch {
		case doc.GetMirror() != nil:
			name = doc.GetMirror().GetService()
		case doc.GetRollout() != nil:
			name = doc.GetRollout().GetService()
		case doc.GetService() != nil:
			name = doc.GetService().GetName()
		}
		if name != "" && !s.service(name) {
			return false
		}
	}
	return s.all() || r.GetKind() == "Fleet" || r.GetKind() != "Service" || s.service(r.GetService())
}

// attempt says whether the caller may see that somebody was refused. What is of no single service is for admins.
func (s *sight) attempt(a access.Attempt) bool {
	if s.all(); s.rules == nil || s.grants.MayAll(access.Administer) {
		return true
	}
	return a.Service != "" && s.service(a.Service)
}

// proxy is what the caller may see of a proxy: not what it says of services that the caller may not see.
func (s *sight) proxy(p *crossfadev1.Proxy) *crossfadev1.Proxy {
	if s.all() {
		return p
	}
	out := proto.CloneOf(p)
	if n := out.GetLastNack(); n != nil {
		for resource := range strings.SplitSeq(n.GetResource(), ", ") { // a refused response has several
			if name, _, _ := strings.Cut(resource, "/"); !s.service(name) {
				n.Resource, n.Message = "", ""
			}
		}
	}
	if out.GetState() == "pending" || out.GetState() == "refused" {
		out.Detail = ""
	}
	return out
}

// event is what the caller may see of an event, nil if nothing.
func (s *sight) event(e *crossfadev1.WatchResponse) *crossfadev1.WatchResponse {
	switch {
	case s.all():
	case e.GetProxy() != nil:
		return &crossfadev1.WatchResponse{Type: e.GetType(), Time: e.GetTime(), Object: &crossfadev1.WatchResponse_Proxy{Proxy: s.proxy(e.GetProxy())}}
	case e.GetRevision() != nil && !s.revision(e.GetRevision()):
		return nil
	case e.GetService() != nil && !s.service(e.GetService().GetName()):
		return nil
	}
	return e
}

// seen keeps what is of services that the caller may see.
func seen[M any](s *sight, items []M, service func(M) string) []M {
	if s.all() {
		return items
	}
	return slices.DeleteFunc(slices.Clone(items), func(m M) bool { return !s.service(service(m)) })
}
