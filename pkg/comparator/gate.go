package comparator

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
)

// Why a copy is not asked, or its answers are not counted.
const (
	dropLearning  = "learning"  // nobody is asked yet
	dropCap       = "cap"       // more than maxRps
	dropExcluded  = "excluded"  // it looks as if it had side effects, or is not among what was named
	dropStale     = "stale"     // it came too long after its request
	dropLate      = "late"      // its legs did not start together
	dropProxy     = "proxy"     // its proxy cannot be asked
	dropBudget    = "budget"    // no memory
	dropBusy      = "busy"      // too much in flight
	dropTooLong   = "too_long"  // its body
	dropCanceled  = "canceled"  // it broke off, or the comparator ends
	dropIdentity  = "identity"  // its identity was asked for less than a second ago, or is another comparator's to ask for
	dropLease     = "lease"     // its run has ended, or nobody says that it still goes on
	dropLoop      = "loop"      // it was marked before
	dropMalformed = "malformed" // it is not as proxies make them
	dropPanic     = "panic"     // comparing failed
)

// gate decides which copies are asked. It belongs to a run, under its lock.
type gate struct {
	policy     *policy.Mirror
	learning   bool
	templates  *endpoint.Templates
	seen       map[seenPath]int64
	limit      *rate.Limiter
	identities *identities
}

// seenPath is a line of the list of what was seen while learning.
type seenPath struct{ method, template, excluded string }

func newGate(m *policy.Mirror, key []byte) (*gate, policy.Errors) {
	templates, errs := endpoint.New(m.Endpoints)
	if len(errs) > 0 {
		return nil, errs
	}
	return &gate{policy: m, templates: templates, seen: map[seenPath]int64{}, limit: rate.NewLimiter(0, 0), identities: newIdentities(key, m.Keep)}, nil
}

// allow sets this instance's share of the limit, in copies per second. In any second there are at most a tenth more, or one.
func (g *gate) allow(rps float64, now time.Time) {
	burst := 0
	if rps > 0 {
		burst = max(1, int(rps/burstPerSecond))
	}
	if g.limit.Limit() != rate.Limit(rps) || g.limit.Burst() != burst {
		g.limit.SetLimitAt(now, rate.Limit(rps))
		g.limit.SetBurstAt(now, burst)
	}
}

// question is what the gate looks at.
type question struct {
	method, path, query string
	headers             http.Header
	sent                time.Time
}

// admit says why a copy is not asked; empty if it is.
func (g *gate) admit(q *question, now time.Time) string {
	excluded := g.excluded(q)
	switch {
	case g.learning:
		g.list(q, excluded)
		return dropLearning
	case excluded != "":
		return dropExcluded
	case now.Sub(q.sent) > maxAge:
		return dropStale
	}
	who := uint64(0)
	if len(g.policy.Keep) > 0 {
		who = g.identities.of(q.headers)
	}
	if !g.identities.may(who, now) {
		return dropIdentity
	}
	if !g.limit.AllowN(now, 1) {
		return dropCap
	}
	g.identities.asked(who, now)
	return ""
}

// excluded says why a copy is never asked. That its method is one that was named is looked at again: it must not depend on the proxies alone.
func (g *gate) excluded(q *question) string {
	named := g.isGRPC(q)
	if !named && !slices.Contains(g.policy.Methods, q.method) {
		return "method"
	}
	if out := outside(g.policy, q.path); out != "" || named {
		return out
	}
	return exclusion(g.policy, q.path, q.query)
}

// isGRPC says that a copy is a call of a method that was named.
func (g *gate) isGRPC(q *question) bool {
	return q.method == http.MethodPost && slices.Contains(g.policy.GRPCMethods, q.path) && strings.HasPrefix(first(q.headers["Content-Type"]), "application/grpc")
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// list adds a copy to what was seen.
func (g *gate) list(q *question, excluded string) {
	template, changed := g.templates.Of(q.path)
	if changed {
		old := g.seen
		g.seen = map[seenPath]int64{}
		for s, n := range old {
			s.template = g.templates.Again(s.template)
			g.seen[s] += n
		}
	}
	method := q.method
	if excluded == "method" {
		method = "" // a word of the client's
	}
	s := seenPath{method, template, excluded}
	if _, ok := g.seen[s]; !ok && len(g.seen) >= maxSeen {
		s.template = endpoint.Other
	}
	if _, ok := g.seen[s]; ok || len(g.seen) < 2*maxSeen {
		g.seen[s]++
	}
}

// sound is a text as the link can carry it.
func sound(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), policy.MaxSeenText)], "")
}

// listed is what was seen, most often first.
func (g *gate) listed() []*crossfadev1.MirrorPath {
	out := make([]*crossfadev1.MirrorPath, 0, len(g.seen))
	for s, n := range g.seen {
		out = append(out, &crossfadev1.MirrorPath{Method: s.method, Endpoint: sound(s.template), Excluded: sound(s.excluded), Count: n})
	}
	slices.SortFunc(out, func(a, b *crossfadev1.MirrorPath) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Method+a.Endpoint+a.Excluded, b.Method+b.Endpoint+b.Excluded)
	})
	return out
}
