package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// DefaultOtherOrigin is how many tries a proxy may have under way at the other origin where a document says nothing.
const DefaultOtherOrigin = 10

// OtherOrigin is one try at the other one of two origins, of requests that may be made twice.
type OtherOrigin struct {
	On            []string // sorted
	Methods       []string // sorted
	MaxConcurrent int      // tries that a proxy has under way at an origin at a time
}

// OtherOriginConditions lists what a try at the other origin may answer to.
func OtherOriginConditions() []string {
	return []string{"connect-failure", "refused-stream", "reset", "gateway-error", "5xx"}
}

// idempotent lists the methods of requests that may be made twice; those that only read come first.
func idempotent() []string { return []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} }

// OtherTries says whether requests that failed at one origin are tried at the other one now: the document wants it, and both get traffic. So an
// origin that a rollback has left gets none of them.
func (s *Service) OtherTries() bool {
	if s.Retries == nil || s.Retries.OtherOrigin == nil {
		return false
	}
	return !slices.ContainsFunc(s.Origins, func(o Origin) bool { return s.Split.Weights[o.Name] == 0 })
}

// EitherClusterName is the name of the Envoy cluster that takes the first try of a request to an origin and the second one to the other. With
// the root of weights' keys before it, it is the key of the origin's weight: so both kinds of routes divide requests by the same levers.
func EitherClusterName(service, origin string) string {
	return service + "." + ClusterName(service, origin)
}

// EitherSuffix marks, after the name of an origin's cluster, the statistics of its [EitherClusterName].
const EitherSuffix = "@either"

// OtherOriginKey is the runtime key of the switch for tries at the other origin. It names the origins, so that no other pair is meant by it.
func (s *Service) OtherOriginKey() string {
	key := "o." + s.Name
	for _, name := range slices.Sorted(slices.Values(s.OriginNames())) {
		key += "." + name
	}
	return key
}

// OtherTriesKey is the runtime key of how many tries a proxy may have under way that an origin has failed: Envoy's own.
func OtherTriesKey(service, origin string) string {
	return "circuit_breakers." + EitherClusterName(service, origin) + ".default.max_retries"
}

func (p *problems) otherOrigin(d *crossfadev1.OtherOrigin, origins []*crossfadev1.Origin) *OtherOrigin {
	const field = "retries.otherOrigin"
	if d == nil {
		return nil
	}
	switch {
	case len(origins) == 2 && spoken(origins[0]) != spoken(origins[1]):
		p.add(field, "other_origin_protocol", "", fmt.Sprintf("a request is tried again by the protocol of its first try, and origin %q speaks %s, %q %s", origins[0].GetName(), spoken(origins[0]), origins[1].GetName(), spoken(origins[1])), "leave otherOrigin out, or give both origins one protocol")
	case len(origins) != 2:
		p.add(field, "other_origin_two", fmt.Sprint(len(origins)), "the other origin is known where there are two, and the service has another number of them", "leave otherOrigin out, or split the service in two")
	}
	return &OtherOrigin{
		On:            p.someOf(field+".on", "other_origin_on", d.GetOn(), OtherOriginConditions(), 4),
		Methods:       p.someOf(field+".methods", "other_origin_method", d.GetMethods(), idempotent(), 3),
		MaxConcurrent: p.number(field+".maxConcurrent", d.GetMaxConcurrent(), DefaultOtherOrigin, 1, MaxOtherOrigin),
	}
}

// spoken is the protocol of an origin as it is written.
func spoken(o *crossfadev1.Origin) string { return cmp.Or(o.GetProtocol(), string(HTTP1)) }

// someOf returns what is written of what is allowed, sorted; the first def of these where nothing is.
func (p *problems) someOf(field, code string, written, allowed []string, def int) []string {
	if len(written) == 0 {
		return slices.Sorted(slices.Values(allowed[:def]))
	}
	if p.count(field, len(written), len(allowed), "values") {
		return nil
	}
	for i, w := range written {
		switch {
		case !slices.Contains(allowed, w):
			p.add(at(field, i), code+"_unknown", w, "must be "+oneOf(allowed), "")
		case slices.Index(written, w) < i:
			p.add(at(field, i), code+"_duplicate", w, "is listed twice", "remove one of them")
		}
	}
	return slices.Sorted(slices.Values(written))
}

// otherTry says what becomes of a request of the split that fails at its origin.
func (d *Decision) otherTry(s *Service) {
	if s.OtherTries() {
		o := s.Retries.OtherOrigin
		d.say("if it fails there and its method is %s, it is tried once at the other origin, at most %d of them at a time on each proxy", or(o.Methods), o.MaxConcurrent)
	}
}

// or lists names for a sentence: `a, b or c`.
func or(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
