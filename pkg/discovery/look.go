package discovery

import (
	"net/netip"
	"time"
)

// Readiness is what a source says of an endpoint.
type Readiness string

// What a source says of an endpoint.
const (
	Ready    Readiness = "ready"    // takes requests
	Draining Readiness = "draining" // finishes those that it has: it was told to stop
)

// Endpoint is one address of an origin, as a source tells it.
type Endpoint struct {
	Address netip.AddrPort
	// Zone is the availability zone, empty if the source does not know.
	Zone string
	// Health is what the source knows of its health, in the source's own word; empty if it knows nothing.
	Health string
	State  Readiness
	// Metadata is what the source says more of it, by name, for people to see; nil if nothing. It is never changed.
	Metadata map[string]string
}

// Look is what one look at a source found.
type Look struct {
	At time.Time
	// Endpoints, in any order, each address once. Without meaning if Err is set.
	Endpoints []Endpoint
	// Err says why nothing was found out.
	Err error
	// Meant says that the source knows by other means how many there should be, and that these are all: a desired count of 0, or a
	// service that was deleted by name. Such a look is believed at once.
	Meant bool
}
