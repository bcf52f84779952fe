package policytest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Options narrow what [Services] makes. The zero value narrows nothing.
type Options struct {
	Ports      []int                                 // listener ports; default 10000 (left out of the document) and 10001
	Fleet      string                                // that serves all of them, some of them with others; default: the default one
	MaxOrigins int                                   // 2 to this many; default 4
	MaxPins    int                                   // 0 to this many; default 6
	Endpoints  func(service, origin string) []string // default: random addresses that nothing listens on
	Elsewhere  bool                                  // half of the origins are not static, and some are behind TLS: nothing that listens is reached by them
	Quiet      bool                                  // no health checks, outlier detection or limits that would change where requests go
}

// NewRand returns the source of a seed.
func NewRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) }

// Services makes n documents that compile and do not claim the same route. They share hosts, told apart by path prefixes. Every field
// of the schema differs from its default in a good part of them.
func Services(r *rand.Rand, n int, opts Options) []*crossfadev1.Service {
	g := &generator{Rand: r, opts: opts, claimed: map[string]bool{}}
	if len(g.opts.Ports) == 0 {
		g.opts.Ports = []int{10000, 10001}
	}
	if g.opts.MaxOrigins == 0 {
		g.opts.MaxOrigins = 4
	}
	if g.opts.MaxPins == 0 {
		g.opts.MaxPins = 6
	}
	docs := make([]*crossfadev1.Service, n)
	for i := range docs {
		docs[i] = g.service(fmt.Sprintf("svc-%d", i))
	}
	return docs
}

// Service makes one document.
func Service(r *rand.Rand, opts Options) *crossfadev1.Service { return Services(r, 1, opts)[0] }

type generator struct {
	*rand.Rand
	opts    Options
	claimed map[string]bool // "port host prefix"
}

// one tells true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (g *generator) millis(atLeast, below int) *durationpb.Duration {
	return durationpb.New(time.Duration(atLeast+g.IntN(below-atLeast)) * time.Millisecond)
}

func (g *generator) service(name string) *crossfadev1.Service {
	doc := &crossfadev1.Service{ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Fleet: g.opts.Fleet}
	if g.one(3) {
		g.severalFleets(doc)
	}
	port := pick(g.Rand, g.opts.Ports)
	if port != 10000 {
		doc.Listener = &crossfadev1.Listener{Port: int32(port)}
	}
	doc.Hosts, doc.PathPrefixes = g.claim(name, port)
	doc.Origins = g.origins(name)
	doc.Primary = pick(g.Rand, doc.Origins).Name
	if !g.one(8) {
		doc.Split = g.split(doc.Origins)
	}
	for i := range g.IntN(g.opts.MaxPins + 1) {
		doc.Pins = append(doc.Pins, g.pin(fmt.Sprintf("pin-%d", i), doc.Origins))
	}
	if g.one(2) {
		doc.Timeouts = g.timeouts()
	}
	if g.one(2) {
		doc.Retries = g.retries(doc.Timeouts.GetRequest().AsDuration(), doc.GetOrigins())
	}
	return doc
}

// Elsewhere is a fleet that serves some of the services too.
const Elsewhere = "elsewhere"

// severalFleets has a document served by two fleets, in one of which it may be rolled back.
func (g *generator) severalFleets(doc *crossfadev1.Service) {
	doc.Fleets = []string{Elsewhere, cmp.Or(doc.Fleet, "default")}
	doc.Fleet = ""
	if !g.one(4) {
		doc.RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: pick(g.Rand, doc.Fleets), KeepPins: !g.one(3)}}
	}
}

var (
	hostPool   = []string{"a.test", "B.Test", "*.a.test", "*.b.a.test", "*.test", "*", "x-y.test.", "10.1.2.3", "[2001:db8::7]", "c.b.a.test", "under_score.test"}
	prefixPool = []string{"/", "/api", "/api/v1/", "/api/v2", "/a%2Fb", "/static/x.y~z", "/API", "/api-2", "/v1;p=1"}
)

// claim finds hosts and prefixes that are free together.
func (g *generator) claim(name string, port int) (hosts, prefixes []string) {
	for range 20 {
		hosts = g.some(hostPool, 4)
		prefixes = nil
		if !g.one(4) {
			prefixes = g.some(prefixPool, 3)
		}
		if g.take(port, hosts, prefixes) {
			return hosts, prefixes
		}
	}
	hosts = []string{name + ".test", "*." + name + ".test"}
	g.take(port, hosts, nil)
	return hosts, nil
}

// some returns 1 to max different elements.
func (g *generator) some(from []string, max int) []string {
	var out []string
	for _, i := range g.Perm(len(from))[:1+g.IntN(max)] {
		out = append(out, from[i])
	}
	return out
}

func (g *generator) take(port int, hosts, prefixes []string) bool {
	if len(prefixes) == 0 {
		prefixes = []string{"/"}
	}
	var keys []string
	for _, h := range hosts {
		for _, p := range prefixes {
			keys = append(keys, fmt.Sprint(port, " ", h, " ", p))
		}
	}
	if slices.ContainsFunc(keys, func(k string) bool { return g.claimed[k] }) {
		return false
	}
	for _, k := range keys {
		g.claimed[k] = true
	}
	return true
}

func (g *generator) split(origins []*crossfadev1.Origin) *crossfadev1.Split {
	s := &crossfadev1.Split{}
	if !g.one(6) {
		s.Weights = g.weights(origins)
	}
	if !g.one(3) {
		s.Sticky = g.sticky()
	}
	return s
}

// weights divides 10000 at random; now and then an origin is left out or has everything.
func (g *generator) weights(origins []*crossfadev1.Origin) map[string]int32 {
	weights := map[string]int32{}
	rest := int32(10_000)
	for _, i := range g.Perm(len(origins))[1:] {
		if g.one(4) {
			continue
		}
		w := g.Int32N(rest + 1)
		if g.one(6) {
			w = rest
		}
		weights[origins[i].Name] = w
		rest -= w
	}
	if rest == 0 {
		return weights
	}
	for _, o := range origins { // one without a weight yet gets the rest
		if _, has := weights[o.Name]; !has {
			weights[o.Name] = rest
			break
		}
	}
	return weights
}

// StickyCookieNames, StickyHeaderNames are the keys that sticky splits use; requests carry them.
var (
	StickyCookieNames = []string{"cf", "session_id"}
	StickyHeaderNames = []string{"x-user", "authorization"}
)

func (g *generator) sticky() *crossfadev1.Sticky {
	switch g.IntN(4) {
	case 0, 1:
		c := &crossfadev1.StickyCookie{Name: pick(g.Rand, StickyCookieNames)}
		if !g.one(3) {
			c.Ttl = durationpb.New(time.Duration(1+g.IntN(86400)) * time.Second)
		}
		if !g.one(3) {
			c.Path = "/api"
		}
		return &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: c}}
	case 2:
		return &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: pick(g.Rand, StickyHeaderNames)}}}
	}
	return &crossfadev1.Sticky{Key: &crossfadev1.Sticky_ClientAddress{ClientAddress: &crossfadev1.StickyClientAddress{}}}
}

func (g *generator) timeouts() *crossfadev1.Timeouts {
	t := &crossfadev1.Timeouts{}
	if g.one(2) {
		t.Request = g.millis(5_000, 60_000)
	}
	if g.one(2) {
		t.Idle = g.millis(5_000, 120_000)
	}
	if g.one(2) {
		t.MaxStreamDuration = g.millis(60_000, 600_000)
	}
	return t
}

func (g *generator) retries(request time.Duration, origins []*crossfadev1.Origin) *crossfadev1.Retries {
	r := &crossfadev1.Retries{On: g.some([]string{"connect-failure", "refused-stream", "reset", "gateway-error", "5xx", "retriable-status-codes"}, 4)}
	if slices.Contains(r.On, "retriable-status-codes") {
		r.StatusCodes = []int32{503, 429}[:1+g.IntN(2)]
	}
	if g.one(2) {
		r.Attempts = 1 + g.Int32N(3)
	}
	if per := g.millis(1_000, 5_000); g.one(2) && (request == 0 || per.AsDuration() <= request) {
		r.PerTryTimeout = per
	}
	if len(origins) == 2 && cmp.Or(origins[0].Protocol, "http1") == cmp.Or(origins[1].Protocol, "http1") {
		r.OtherOrigin = &crossfadev1.OtherOrigin{On: g.some(policy.OtherOriginConditions(), 3), Methods: g.some([]string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}, 3)}
		r.OtherOrigin.MaxConcurrent = 1 + g.Int32N(policy.MaxOtherOrigin)
	}
	return r
}
