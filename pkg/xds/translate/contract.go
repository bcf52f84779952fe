package translate

import (
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Resource is one xDS resource, marshalled once and shared by all proxies. It is immutable.
type Resource struct {
	Name    string
	Version string     // hash of the bytes in Body: equal content has an equal version, in every process
	Body    *anypb.Any // deterministically marshalled
	// Services are the services whose routes a virtual host holds, sorted; nil for other kinds.
	Services []string
	// EDS says of a cluster that its endpoints are a resource of their own, of the same name.
	EDS bool
	// Files says that it names files on the proxy's machine: who refuses it now may take it later.
	Files bool
}

// Options are the variants of structure that a proxy can need.
type Options struct {
	// InlineWeights writes live weights and pin switches into the routes, for a proxy whose bootstrap lacks a runtime layer. It copies no
	// requests: the lever that would stop that does not reach it.
	InlineWeights bool
	// Comparators is the name in the certificate of comparators, a host, an address or a SPIFFE id: proxies and comparators speak TLS. Empty: in clear
	// text, over loopback addresses.
	Comparators string
	// Reuse is what an earlier Build gave, nil for nothing: what it made of the very same compiled services is taken from it.
	Reuse *Structure
}

// Structure is the slow part of what a fleet has: everything but endpoints and levers. Each list is sorted by name.
type Structure struct {
	Clusters     []Resource // "SERVICE/ORIGIN", for mirrors "SERVICE/ORIGIN@shadow" and "@comparator", and "@authorities" where origins are verified by those of the machine
	Routes       []Resource // "listener/PORT", one per listener
	VirtualHosts []Resource // "listener/PORT/…"; at least one for each entry of Routes
	listeners    []listenerTemplate
	experiments  bool   // requests are copied: somebody will ask through the experiment listener
	comparators  string // see [Options]
	made         made
}

// made is what a structure was made of, for the next one.
type made struct {
	inline       bool
	clusters     map[*policy.Service][]Resource
	virtualHosts map[string]madeVirtualHost // by name
}

type madeVirtualHost struct {
	Resource
	hosts    []string
	services []*policy.Service
}

// reusable is what may be taken from an earlier structure.
func (o Options) reusable() made {
	if o.Reuse == nil || o.Reuse.made.inline != o.InlineWeights {
		return made{}
	}
	return o.Reuse.made
}

// Lever is one runtime key with its live value. Exactly one of the two kinds is used for a key.
type Lever struct {
	Key      string
	Value    uint32 // a weight in basis points, or a fraction in millionths
	Fraction bool
	Count    bool // with Fraction: no share, but the number that it is
	Primary  bool // a weight: of the origin that takes what the others leave
}
