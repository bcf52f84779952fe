package server

import (
	"context"
	"fmt"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
)

const maxVerb = 64 // bytes

// CanI implements the contract.
func (a *API) CanI(ctx context.Context, r *crossfadev1.CanIRequest) (*crossfadev1.CanIResponse, error) {
	var p problems
	p.text("verb", r.GetVerb(), maxVerb, "")
	p.optionalName("service", r.GetService())
	if err := p.Err(); err != nil {
		return nil, err
	}
	name, rules := verifiedName(ctx), a.gate.rules.Load()
	g := rules.Of(name)
	out := &crossfadev1.CanIResponse{Name: name, Verified: name != "", Enforced: rules != nil}
	for _, h := range g.Held {
		out.Roles = append(out.Roles, &crossfadev1.RoleOf{Role: h.Role, Services: h.Services})
	}
	if r.GetVerb() == "" {
		return out, nil
	}
	method, refused, known := access.CanI(g, r.GetVerb(), r.GetService())
	if !known {
		return nil, invalid("verb_unknown", "verb", r.GetVerb(), "is no method of the API, and no word for one", "known are "+strings.Join(access.Verbs(), ", "))
	}
	out.Method, out.Allowed = method, refused == nil || rules == nil
	switch {
	case rules == nil:
		out.Reason = "this server has no TLS: it asks nobody who they are, and everybody may do everything but open gates of rollouts"
	case refused != nil:
		out.Reason = refused.Err().Message
	default:
		out.Reason = fmt.Sprintf("%s has %s", name, rolesInWords(g))
	}
	return out, nil
}

func rolesInWords(g access.Grants) string {
	if len(g.Held) == 0 {
		return "no role, and needs none"
	}
	var words []string
	for _, h := range g.Held {
		of := ""
		if len(h.Services) > 0 {
			of = " for " + strings.Join(h.Services, ", ")
		}
		words = append(words, h.Role+of)
	}
	return "role " + strings.Join(words, "; ")
}
