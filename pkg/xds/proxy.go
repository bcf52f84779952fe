package xds

import (
	"strings"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Nack is the last refusal of a proxy.
type Nack struct {
	Type     string
	Resource string
	Message  string
	Time     time.Time
}

// proxy is one Envoy by its node.id: what outlives its streams. Guarded by the fleet, but for the refusal.
type proxy struct {
	id           string
	version      string
	bootstrap    string // version of it
	sessions     map[*session]bool
	lastSeen     time.Time
	remembered   bool             // of an earlier process; this one has not seen it, so that its structure is not known, see [session.findStale]
	structureSeq int64            // of its last session
	behind       map[string]int64 // of its last session
	acked        int64            // of its last session
	stale        map[string]bool  // of its last session
	strange      bool             // of its last session
	parked       [numKinds]map[string]string
	doubtful     [numKinds]map[string]string // of its last session: name → version that it may have, see [session.inDoubt]

	mu       sync.Mutex
	lastNack *Nack
}

func (p *proxy) nacked(n Nack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastNack = &n
}

func (p *proxy) nack() *Nack {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastNack
}

// ProxyState is what one looks at first.
type ProxyState string

// The states of a proxy. The worst one that applies is shown.
const (
	StateOK           ProxyState = "ok"
	StatePending      ProxyState = "pending"       // connected, not yet at the wanted revision
	StateRefused      ProxyState = "refused"       // a resource is parked
	StateIncompatible ProxyState = "incompatible"  // its bootstrap lacks a runtime layer
	StateHeld         ProxyState = "held"          // has levers that the store does not know
	StateDuplicate    ProxyState = "duplicate"     // several streams with one node.id
	StateUnknownFleet ProxyState = "unknown-fleet" // nothing names its fleet
	StateLost         ProxyState = "lost"          // seen within a day, not connected
)

// ProxyStatus is what is known of one proxy.
type ProxyStatus struct {
	Proxy, Fleet   string
	Connected      bool
	Version        string
	Bootstrap      string // version of its bootstrap, as that says itself; empty: it does not, or the proxy was not seen by this process
	AckedRevision  int64
	WantedRevision int64
	Lag            time.Duration
	LastNack       *Nack
	ConnectedSince time.Time
	LastSeen       time.Time
	State          ProxyState
	Experiment     string // IP:PORT where comparators reach origins through it, while a mirror runs; empty if they cannot: it has no address, or could not listen there
	Detail         string // what the state means and what to do; empty for ok
}

// lostAfter is how long a proxy that is not connected is remembered.
const lostAfter = 24 * time.Hour

// status describes a proxy. The fleet's lock is held.
func (p *proxy) status(f *Fleet, now time.Time) ProxyStatus {
	wanted := f.config.Load().revision
	st := ProxyStatus{Proxy: p.id, Fleet: f.name, Version: p.version, Bootstrap: p.bootstrap, LastNack: p.nack(), LastSeen: p.lastSeen, WantedRevision: wanted, AckedRevision: p.acked}
	if len(p.sessions) == 0 {
		st.State = StateLost
		st.Detail = "not connected; it keeps what it last had. Check that it runs and reaches the xDS address"
		if p.remembered {
			st.Detail = "has not come back since the server was started; it keeps what it last had. Check that it runs and reaches the xDS address"
		}
		return st
	}
	st.Connected, st.LastSeen, st.AckedRevision, st.State = true, now, wanted, StateOK
	for s := range p.sessions {
		s.describe(&st, now)
	}
	switch {
	case len(p.sessions) > 1:
		st.State, st.Detail = StateDuplicate, "several streams say they are this proxy: give each Envoy a node.id of its own"
	case !f.named():
		st.State, st.Detail = StateUnknownFleet, "no service and no fleet document names fleet "+f.name+": it keeps what it has. Apply one, correct node.cluster, or start the server on its own data directory"
	}
	return st
}

// describe adds what one session knows.
func (s *session) describe(st *ProxyStatus, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.AckedRevision = min(st.AckedRevision, s.acked.revision)
	if st.ConnectedSince.IsZero() || s.connected.Before(st.ConnectedSince) {
		st.ConnectedSince = s.connected
	}
	if !s.behindSince.IsZero() {
		st.Lag = max(st.Lag, now.Sub(s.behindSince))
		st.State, st.Detail = StatePending, "has not acknowledged everything yet"
		if blind := s.blindClusters(); len(blind) > 0 {
			st.Detail = "has the old cluster of " + strings.Join(blind, ", ") + ", which changes once the source of its endpoints answers"
		}
	}
	if st.Experiment = s.places.experiment; s.refusedExperiments() {
		st.Experiment = ""
	}
	if s.incompatible() {
		st.Experiment = ""
		st.State, st.Detail = StateIncompatible, "its bootstrap lacks a runtime layer, so its weights travel in its routes: make a new one with `shadowctl bootstrap` and restart it"
	}
	for k := range s.kinds {
		if len(s.kinds[k].parked) > 0 {
			st.State, st.Detail = StateRefused, "refused a resource; it keeps the last one that it accepted"
		}
	}
	switch {
	case s.lacksFiles():
		st.State, st.Detail = StateRefused, "refused what names files on its machine; it keeps the last one that it accepted, and is asked again every "+tryFilesAgain.String()
	case s.unread && st.State == StateOK:
		st.State, st.Detail = StateRefused, "could not read certificates on its machine: put them there and restart it"
	}
	if s.held != "" {
		st.State, st.Detail = StateHeld, "has levers of a change that is not in the store (a rollback that could not be recorded?): what moves a service's traffic is sent to it only once a `rollback` or `split set` of that service says what holds; `rollback --all` says it of all"
	}
}

// refusedExperiments says that the proxy does not listen for comparators because it could not, as where somebody else has the address: then that
// somebody would be asked.
func (s *session) refusedExperiments() bool {
	l := &s.kinds[listeners]
	return mapHas(l.parked, translate.ExperimentListener) && l.have.version(translate.ExperimentListener) == ""
}
