// Package shadowtest draws two origins for tests of comparisons: what they answer, which differences the candidate has, and which noise both
// have, all from a seed. It knows nothing of how answers are compared: it imports nothing of package shadow.
package shadowtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Place is where answers differ: the template of the endpoint, the kind of the difference and its path, in the words of a report.
type Place struct{ Endpoint, Kind, Path string }

// Options say what a world is like.
type Options struct {
	// Endpoints of JSON. There is one more of text, one of bytes, one of gRPC, and four of JSON for differences that hide all others.
	Endpoints int
	Rate      float64 // of requests that the candidate answers differently, at each planted place
	Plants    int     // how many differences are planted; 0: one of each kind
	Noise     float64 // how often two answers of one origin differ, at each noisy place, at most
	Noisy     int     // how many places are noisy
	// Shared says that differences are planted where there is noise too, as far as there is a noisy place of the kind.
	Shared bool
	// PerAnswer says that chance decides anew in each answer whether it differs; otherwise the same request always gets the same.
	PerAnswer bool
}

// World is two origins. It is never changed after it was made.
type World struct {
	seed   uint64
	opts   Options
	plants []spot
	noise  []spot
	names  []string
}

// spot is a planted difference or noise.
type spot struct {
	endpoint int
	kind     string
	field    int
	rate     float64
}

// Kinds are the kinds of differences that are planted.
var Kinds = []string{
	"status", "failure", "header_missing", "header_added", "header_changed", "content_type", "cookie", "body", "invalid",
	"json_missing", "json_added", "json_type", "json_value", "json_number", "json_length", "json_order",
	"text", "binary", "trailer", "grpc_status", "proto_value", "proto_missing", "proto_unknown",
}

// noisyKinds are those of noise.
var noisyKinds = []string{
	"json_value", "json_number", "json_order", "json_missing", "json_added", "header_changed", "header_missing", "header_added", "json_length", "json_type",
	"status", "failure", "body", "invalid", "text", "binary", "cookie", "trailer", "grpc_status", "proto_value", "proto_missing", "proto_unknown",
}

// New draws a world.
func New(seed uint64, o Options) *World {
	r := rand.New(rand.NewPCG(seed, 0xc0ffee))
	w := &World{seed: seed, opts: o}
	for i := range o.Endpoints {
		w.names = append(w.names, "api/"+words[i%len(words)]+suffix(i/len(words)))
	}
	used := map[spot]bool{}
	place := func(kind string) spot {
		for {
			s := spot{endpoint: w.endpointFor(r, kind), kind: kind, field: r.IntN(fields)}
			if key := (spot{endpoint: s.endpoint, kind: class(kind), field: s.field}); !used[key] {
				used[key] = true
				return s
			}
		}
	}
	for i := range o.Noisy {
		s := place(noisyKinds[i%len(noisyKinds)])
		s.rate = o.Noise * (0.05 + 0.95*r.Float64())
		w.noise = append(w.noise, s)
	}
	plants := o.Plants
	if plants == 0 {
		plants = len(Kinds)
	}
	for i := range plants {
		kind := Kinds[i%len(Kinds)]
		at := slices.IndexFunc(w.noise, func(n spot) bool { return n.kind == kind && !w.planted(n) })
		if s := (spot{}); o.Shared && at >= 0 {
			s = w.noise[at]
			s.rate = o.Rate
			w.plants = append(w.plants, s)
			continue
		}
		s := place(kind)
		s.rate = o.Rate
		w.plants = append(w.plants, s)
	}
	return w
}

func (w *World) planted(n spot) bool {
	return slices.ContainsFunc(w.plants, func(s spot) bool { return s.endpoint == n.endpoint && s.kind == n.kind && s.field == n.field })
}

// words are names of endpoints.
var words = []string{"orders", "users", "carts", "items", "prices", "stock", "offers", "reviews", "shops", "routes", "plans", "visits"}

func suffix(n int) string {
	if n == 0 {
		return ""
	}
	return "-" + string(rune('a'+n%26))
}

// The endpoints behind those that are of JSON and can have many differences.
const (
	textEndpoint = iota
	binaryEndpoint
	grpcEndpoint
	statusEndpoint
	failureEndpoint
	bodyEndpoint
	invalidEndpoint
	others
)

// fields is how many fields of each type a document has.
const fields = 8

// endpointFor draws an endpoint that can have a kind of difference.
func (w *World) endpointFor(r *rand.Rand, kind string) int {
	n := w.opts.Endpoints
	switch kind {
	case "text":
		return n + textEndpoint
	case "binary":
		return n + binaryEndpoint
	case "status":
		return n + statusEndpoint
	case "failure":
		return n + failureEndpoint
	case "body":
		return n + bodyEndpoint
	case "invalid":
		return n + invalidEndpoint
	case "trailer", "grpc_status", "proto_value", "proto_missing", "proto_unknown":
		return n + grpcEndpoint
	}
	return r.IntN(n)
}

// class groups kinds that would get into each other's way in one field.
func class(kind string) string {
	switch kind {
	case "json_missing", "json_type", "json_value":
		return "f"
	case "json_length", "json_order":
		return "a"
	case "header_missing", "header_changed":
		return "h"
	case "proto_value", "proto_missing":
		return "p"
	}
	return kind
}

// EndpointCount is how many endpoints there are; each is asked as often.
func (w *World) EndpointCount() int { return w.opts.Endpoints + others }

// Request is what is asked.
type Request struct {
	Method, Path string
	ID           uint64 // of the request, for those whose path does not tell them apart
}

// Ask draws a request.
func (w *World) Ask(r *rand.Rand) Request {
	e := r.IntN(w.opts.Endpoints + others)
	id := r.Uint64N(1 << 40)
	return Request{Method: w.method(e), Path: w.path(e, id), ID: id}
}

func (w *World) method(e int) string {
	if e == w.opts.Endpoints+grpcEndpoint {
		return "POST"
	}
	return "GET"
}

func (w *World) path(e int, id uint64) string {
	switch e - w.opts.Endpoints {
	case textEndpoint:
		return fmt.Sprintf("/pages/%d", id)
	case binaryEndpoint:
		return fmt.Sprintf("/images/%d", id)
	case grpcEndpoint:
		return GRPCPath
	case statusEndpoint, failureEndpoint, bodyEndpoint, invalidEndpoint:
		return fmt.Sprintf("/v1/%s/%d", words[e-w.opts.Endpoints], id)
	}
	return fmt.Sprintf("/%s/%d", w.names[e], id)
}

// template is the template of an endpoint.
func (w *World) template(e int) string {
	switch e - w.opts.Endpoints {
	case textEndpoint:
		return "/pages/{id}"
	case binaryEndpoint:
		return "/images/{id}"
	case grpcEndpoint:
		return GRPCPath
	case statusEndpoint, failureEndpoint, bodyEndpoint, invalidEndpoint:
		return "/v1/" + words[e-w.opts.Endpoints] + "/{id}"
	}
	return "/" + w.names[e] + "/{id}"
}

// Planted are the places where the candidate differs.
func (w *World) Planted() []Place { return w.places(w.plants) }

// Noisy are the places where both origins differ from themselves.
func (w *World) Noisy() []Place { return w.places(w.noise) }

func (w *World) places(spots []spot) []Place {
	out := make([]Place, len(spots))
	for i, s := range spots {
		out[i] = Place{w.template(s.endpoint), s.kind, s.path()}
	}
	return out
}

// share is how often one answer is in its rarer state, so that two differ at a rate.
func share(rate float64) float64 { return (1 - math.Sqrt(1-2*min(rate, 0.5))) / 2 }
