package xds

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// session is one stream of one proxy: its goroutine takes requests, see [session.serve], and the fleet calls [session.step] when it publishes.
type session struct {
	server    *Server
	ctx       context.Context // of the stream
	remote    string
	connected time.Time
	secrets   secrets // of the stream's goroutine
	out       outbox
	inlined   atomic.Bool // it is incompatible

	mu           sync.Mutex
	fleet        *Fleet // set by the first request
	proxy        *proxy
	places       places
	own          translate.ProxyFiles
	kinds        [numKinds]kindState
	structureSeq int64                        // publication whose structure it acknowledged in full
	firstSeq     int64                        // publication when it connected
	lastSeq      int64                        // structureSeq of the proxy's session before this one, 0: none in this process
	recognised   bool                         // a resumed proxy has told what it has
	rewarmed     bool                         // see [session.rewarmAll]
	leversSeq    int64                        // publication whose levers, as rendered for it, it acknowledged
	behind       map[string]int64             // services of which it has older structure, since it refused what came → structureSeq then
	parking      bool                         // it may have refused some structure
	reduced      *reduced                     // what it can have; nil: to be found out, if it is parking
	stale        map[string]bool              // services of which it had other structure when it connected
	strange      bool                         // it then may have had routes of services that are gone
	lacksLayer   bool                         // of its bootstrap; see incompatible
	complete     bool                         // had everything at least once: ready
	top          map[string][]translate.Lever // services in its top layer; nil: not known
	acked        reached
	tried        reached   // like acked, but for what it refused
	told         int64     // levered, as the waiters know it
	behindSince  time.Time // zero while it has the latest
	held         string    // stamp of levers that we do not know; see held.go
	decided      decided   // what it acknowledged while it was held
	news         news      // since the last step
	overtook     string    // nonce of the levers for which virtual hosts waited last
	overtaken    int       // how many responses of levers they waited for
	again        time.Time // when what names files is tried again that was refused; zero: not said
	unread       bool      // it could not read files of secrets
	nonce        string    // of this stream: what those of its responses begin with
	nonces       int64     // responses so far
	ended        bool
	queued       bool // for a turn; guarded by the fleet's turns
}

// kindState is what a session knows of one kind.
type kindState struct {
	asked   bool            // a request came
	resumed bool            // the first request said what the proxy has
	names   names           // asked for, of kinds that are
	answer  bool            // an answer is due even if it is empty
	fresh   map[string]bool // to be sent although the proxy may have them
	have    holding
	sent    *sending // not acknowledged yet; in place
	place   sending
	parked  map[string]string // name → version that was refused
	doubts  map[string]doubt  // by name, see [doubtful]
	carried map[string]string // name → version that the proxy may have since its stream before, until it says what it has
	solo    *soloPass         // trying one at a time, after a refusal of several
	inSync  bool              // at the last step, nothing was missing
	at      *table            // nothing is missing of this one, nor has anything happened since that was found; nil: look
	reached reached           // of which this kind is acknowledged
	tried   reached           // like reached, but for what was refused
}

// reached is how far a proxy has come: the last publication of which it acknowledged everything, and the revision that it brought.
type reached struct {
	seq, revision int64
}

func (r reached) min(o reached) reached {
	return reached{min(r.seq, o.seq), min(r.revision, o.revision)}
}

func (r reached) max(o reached) reached {
	return reached{max(r.seq, o.seq), max(r.revision, o.revision)}
}

// sending is a response on its way.
type sending struct {
	want
	nonce string
	of    reached // the publication it comes from
}

func newSession(server *Server, remote string, now time.Time) *session {
	s := &session{server: server, ctx: context.Background(), remote: remote, connected: now, nonce: newNoncePrefix()}
	s.out.idle.L = &s.out.mu
	for k := range s.kinds {
		s.kinds[k].have = holding{base: emptyTable}
	}
	return s
}

// subscribed takes what a request says of the proxy's interest, and says whether it is the first for its kind.
func (s *session) subscribed(k kind, req *discovery.DeltaDiscoveryRequest) (first bool) {
	state := &s.kinds[k]
	first = !state.asked
	state.asked = true
	if first {
		state.resumed = len(req.GetInitialResourceVersions()) > 0
		if state.resumed {
			s.resume(k, req.GetInitialResourceVersions())
			state.doubt(state.carried)
		}
		state.carried = nil // a new process, if it has nothing
		state.answer = !state.resumed && !k.named()
		if !state.resumed {
			state.parked = nil // a new process: what it refused before may work now
			s.reduced = nil
			if k == virtualHosts {
				s.stale, s.strange = nil, false
			}
		}
		if k == levers {
			s.checkStamp()
		}
	}
	if k.named() {
		state.names = state.names.with(req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe(), s.target(k))
	}
	if k == levers {
		s.lacksLayer = lacksLayer(state.names)
	}
	if !k.named() {
		return first
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		state.have.set(name, "") // nobody tells it to let go, see [session.onlySubscribed]
	}
	anew := false
	for _, name := range req.GetResourceNamesSubscribe() {
		if !first || !state.resumed || state.have.version(name) == "" {
			state.ask(name)
			anew = true
		}
	}
	if k == routes && anew {
		s.forgetVirtualHosts(state.fresh)
	}
	return first
}

// target is what the fleet should have of a kind now.
func (s *session) target(k kind) *table {
	c := s.fleet.config.Load()
	if k == levers {
		return c.levers.final
	}
	return s.table(k, c)
}

// resume takes what the proxy has of a kind: mostly what it should have, so that is what it is compared with.
func (s *session) resume(k kind, versions map[string]string) {
	near := s.target(k)
	have := &s.kinds[k].have
	*have, s.reduced = holding{base: near}, nil
	known := 0 // of what it has
	for name, r := range near.byName {
		version, has := versions[name]
		if has {
			known++
		}
		if version != r.Version {
			have.set(name, version)
		}
	}
	if known == len(versions) {
		return
	}
	for name, version := range versions {
		if _, there := near.byName[name]; !there {
			have.set(name, version)
		}
	}
}

// ask makes a resource be sent although the proxy may have it.
func (k *kindState) ask(name string) {
	if k.fresh == nil {
		k.fresh = map[string]bool{}
	}
	k.fresh[name], k.at = true, nil
}

// forgetVirtualHosts makes the virtual hosts of newly asked route configurations be sent: Envoy drops those that came before them.
func (s *session) forgetVirtualHosts(of map[string]bool) {
	state := &s.kinds[virtualHosts]
	if len(state.have.base.names) == 0 && len(state.have.except) == 0 {
		return // it has none
	}
	state.at, s.reduced = nil, nil
	config := s.fleet.config.Load()
	state.have.settle(config.structure.virtualHosts, s.fleet.deltas.between)
	for _, name := range state.have.base.names {
		if of[routeConfigurationOf(name)] {
			state.have.set(name, "")
		}
	}
}

// findStale notes the services of which the proxy has other structure than it should, and nobody knows which. Of a proxy that this
// process has served before it is known, see [transition].
func (s *session) findStale() {
	if s.lastSeq > 0 {
		return
	}
	config := s.fleet.config.Load()
	missing := s.kinds[virtualHosts].have.missing(config.structure.virtualHosts, s.fleet.deltas.between)
	s.stale = map[string]bool{}
	s.strange = len(missing.removals) > 0
	for _, r := range missing.upserts {
		for _, service := range config.structure.services[r.Name] {
			s.stale[service] = true
		}
		s.strange = s.strange || s.kinds[virtualHosts].have.version(r.Name) != "" // others may be in it
	}
	if s.strange { // of services that are gone, it may have any structure
		for service := range config.levers.gone(config.structure) {
			s.stale[service] = true
		}
	}
}
