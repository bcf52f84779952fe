package telemetry

import "time"

// State is how far a change is proven. The order is from good to bad: the state of a fleet is the worst of its proxies'.
type State string

// The states of a proof.
const (
	Proven  State = "proven"  // had requests for the service after it acknowledged, and none picked an origin that should get none
	Silent  State = "silent"  // no request for the service since it acknowledged
	Pending State = "pending" // not known yet, or requests still pick such an origin
	Unknown State = "unknown" // cannot be known: no report, an override, pins kept, not connected
)

// Worse orders states.
func (s State) Worse(than State) bool { return s.rank() > than.rank() }

func (s State) rank() int {
	switch s {
	case Proven:
		return 0
	case Silent:
		return 1
	case Pending:
		return 2
	}
	return 3
}

// Change is what [Telemetry.Follow] follows: requests for a service leave some origins.
type Change struct {
	Fleet, Service string
	Away           []string  // origins that should get no request any more
	Toward         []string  // the other origins of the service
	Called         time.Time // when the change was asked for: what times count from
	KeepPins       bool      // pins stay on, so that requests may pick any origin: nothing can be proven
}

// ProofState is what the data plane shows of a change.
type ProofState struct {
	State State
	// Since is from the call to the end of the last interval in which a request may have picked an origin of Away.
	Since time.Duration
	// Resolution is the length of the intervals that show it.
	Resolution time.Duration
	// OpenStreams is how many requests are still open at each origin of Away. An origin is absent while no proxy has said.
	OpenStreams map[string]int64
	PerProxy    []ProxyProof // by name: connected ones, and those seen within 24 h
	Reason      string       // why it is not proven; empty if it is
}

// ProxyProof is what one proxy shows.
type ProxyProof struct {
	Proxy      string
	State      State
	Since      time.Duration
	Resolution time.Duration
	Reason     string // empty for Proven
	Connected  bool
}

// Count returns how many proxies are in a state.
func (s ProofState) Count(state State) int {
	n := 0
	for _, p := range s.PerProxy {
		if p.State == state {
			n++
		}
	}
	return n
}
