package xds

import (
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// firstPieceBytes bounds one response of a first load.
const firstPieceBytes = 1 << 20

// clustersPerPiece bounds one response to a proxy that carries traffic. Envoy's main thread takes about 0.3 ms a cluster, and levers
// wait for it: with pieces of 16 a flip took 7 ms (median) while 4,000 clusters changed, in one response 780 ms; a stream of its own for
// levers did not help. Virtual hosts are not cut: each response costs Envoy a rebuild of the whole table, whatever its size.
const clustersPerPiece = 16

// hearingTime is how long a resumed session may take to say what structure it has before levers are sent without knowing.
const hearingTime = time.Second

// want is what a session should send of one kind now.
type want struct {
	to    *table
	delta *diff // nothing to send if empty
	exact bool  // delta is all that differs: afterwards the proxy has to
	full  bool  // nothing of to is withheld, refused or waiting for a subscription
	final bool  // to is the fleet's own, not a rendering for a proxy that lags, or refused something
	tried bool  // to is the fleet's own, but for what the proxy refused

	layers *layers                      // of levers: what to is a table of
	top    map[string][]translate.Lever // services in the top layer that is sent
}

// step sends what may be sent. The fleet calls it after each publication.
func (s *session) step() {
	s.mu.Lock()
	n := s.proceed()
	s.mu.Unlock()
	s.tell(n)
}

// news are what a step found out that others are told.
type news struct {
	refusals []*Refusal
	rebuilt  bool // it answered for virtual hosts
}

// proceed sends what may be sent. The session's lock is held.
func (s *session) proceed() news {
	if s.fleet == nil || s.ended {
		return news{}
	}
	s.againIfTime(s.fleet.config.Load())
	for s.pass(s.fleet.config.Load()) {
	}
	n := s.news
	s.news = news{}
	s.inlined.Store(s.incompatible())
	return n
}

// tell tells others. No lock is held.
func (s *session) tell(n news) {
	if n.rebuilt {
		s.fleet.turns.giveAway()
	}
	for _, r := range n.refusals {
		if s.server.onRefusal != nil {
			s.server.onRefusal(s.fleet.name, *r)
		}
	}
}

// pass looks at every kind once and says whether something came into reach that wants another look.
func (s *session) pass(c *config) bool {
	if s.forsaken(c) {
		return false
	}
	settled := true
	s.recognise(c)
	s.rewarmAll(c)
	for k := range numKinds {
		w := s.want(k, c)
		state := &s.kinds[k]
		state.inSync = w.delta.empty() && w.full && state.sent == nil && state.solo == nil
		state.at = nil
		if state.inSync {
			s.synced(k, c, w)
			state.at = w.to
		}
		if k == levers || k == endpoints {
			settled = settled && state.tried.seq >= c.structureSeq
		} else {
			settled = settled && (state.inSync || k == clusters && onlyRemovals(w, state))
		}
		s.send(k, c, w)
	}
	if settled && s.held == "" {
		s.removeClusters(c)
	}
	return s.conclude(c)
}

func onlyRemovals(w want, state *kindState) bool {
	return w.delta.empty() && state.sent == nil && state.solo == nil
}

// synced notes that nothing of a kind is missing.
func (s *session) synced(k kind, c *config, w want) {
	state := &s.kinds[k]
	if len(state.have.except) == 0 && k != levers {
		state.have = holding{base: w.to}
	}
	if k == levers && state.asked {
		s.leversSeq, s.top = c.seq, w.layers.top
	}
	state.reach(w, c.reached())
}

// reach notes that the proxy has what was wanted at a publication.
func (k *kindState) reach(w want, at reached) {
	if w.final {
		k.reached = k.reached.max(at)
	}
	if w.tried {
		k.tried = k.tried.max(at)
	}
}

// want decides what to send of a kind, by the order in the package's doc.
func (s *session) want(k kind, c *config) want {
	state := &s.kinds[k]
	w := want{full: true, final: true, tried: true}
	if k == levers {
		w.layers = c.levers.forSession(s.fits())
		w.to, w.final, w.tried = w.layers.table, w.layers.final, w.layers.tried
		if !state.asked {
			return want{to: w.to, delta: &diff{}, full: true, final: true, tried: true} // an incompatible proxy: its weights are in its routes
		}
	} else {
		w.to = s.table(k, c)
		w.final = s.reduced == nil || k == endpoints
	}
	if state.solo != nil {
		return s.wantSolo(k, w)
	}
	if state.at == w.to {
		w.delta = nothing
		return w
	}
	shared := s.fleet.deltas.between(state.have.base, w.to)
	w.delta = state.have.missing(w.to, s.fleet.deltas.between)
	w.exact = w.delta == shared
	s.narrow(k, c, &w)
	return w
}

// table is what the proxy should have of a kind other than levers.
func (s *session) table(k kind, c *config) *table {
	if k == endpoints {
		return c.endpoints
	}
	return s.structure(c).table(k, s.places)
}

// structure is the fleet's, or with live weights in the routes for a proxy that lacks a runtime layer, but for what the proxy refused.
func (s *session) structure(c *config) *structure {
	whole := c.structure
	if s.incompatible() {
		whole = s.fleet.inline(c)
	}
	if r := s.reduce(c, whole); r != nil {
		return r.structure
	}
	return whole
}

// incompatible says whether the proxy's bootstrap lacks a layer: by the time it asks for clusters it has asked for all it has.
func (s *session) incompatible() bool {
	if !s.kinds[clusters].asked {
		return false
	}
	return !s.kinds[levers].asked || s.lacksLayer
}

var layerNames = translate.LayerNames()

// lacksLayer says whether a bootstrap that asks for these layers lacks one.
func lacksLayer(asked names) bool {
	return slices.ContainsFunc(layerNames, func(layer string) bool { return !asked.has(layer) })
}

// narrow takes out of w what must not be sent now.
func (s *session) narrow(k kind, c *config, w *want) {
	state := &s.kinds[k]
	d := w.delta
	if len(state.parked) > 0 && (k == levers || k == endpoints) {
		d = s.withoutParked(state, w)
	}
	switch k {
	case levers:
		d = s.narrowLevers(c, w, d)
	case endpoints:
		d = s.onlySubscribed(k, c, w, d)
	case clusters:
		d = s.withoutBlind(c, w, d)
		if len(d.removals) > 0 {
			d, w.exact, w.full = &diff{upserts: d.upserts}, false, false
		}
	case listeners, routes, virtualHosts:
		if k == routes {
			d = s.onlySubscribed(k, c, w, d)
		}
		if !d.empty() && !s.entered(c) {
			d, w.exact, w.full = &diff{}, false, false
		}
		if k == virtualHosts {
			d = s.onlyServed(c, w, d)
			if !d.empty() && state.sent == nil && (s.leversFirst() || s.waitsForTurn()) {
				d, w.exact, w.full = &diff{}, false, false // each costs Envoy a rebuild of the whole table: levers go first
			}
		}
	}
	w.delta = d
	w.withoutHeld()
	d = w.delta
	if !s.complete && !state.resumed {
		w.cut(firstPiece(d.upserts))
	} else if k == clusters {
		w.cut(clustersPerPiece)
	}
}

// maxOvertaken is how many responses of levers virtual hosts wait for: under steady change there is always one on its way.
const maxOvertaken = 8

// leversFirst says whether virtual hosts wait because levers are on their way.
func (s *session) leversFirst() bool {
	sent := s.kinds[levers].sent
	if sent == nil || s.overtaken >= maxOvertaken {
		return false
	}
	if s.overtook != sent.nonce {
		s.overtook = sent.nonce
		s.overtaken++
	}
	return true
}

// firstPiece returns how many resources fit into one response.
func firstPiece(all []*item) int {
	size := 0
	for i, r := range all {
		if size += r.wire.Len(); size > firstPieceBytes && i > 0 {
			return i
		}
	}
	return len(all)
}

// cut leaves n resources to be sent now.
func (w *want) cut(n int) {
	if len(w.delta.upserts) > n {
		w.delta, w.exact, w.full = &diff{upserts: w.delta.upserts[:n]}, false, false
	}
}

func (s *session) withoutParked(state *kindState, w *want) *diff {
	out := &diff{}
	for _, r := range w.delta.upserts {
		if v, ok := state.parked[r.Name]; !ok || v != r.Version {
			out.upserts = append(out.upserts, r)
		}
	}
	for _, name := range w.delta.removals {
		if v, ok := state.parked[name]; !ok || v != "" {
			out.removals = append(out.removals, name)
		}
	}
	for name, version := range state.parked {
		if w.to.version(name) != version {
			delete(state.parked, name)
		}
	}
	if len(state.parked) > 0 {
		w.exact, w.full = false, false
	}
	return out
}

// entered says whether what routes need is there: clusters with their endpoints, and levers at values that are right with the
// structure the proxy has and with the one to come. Nothing of that is known of a held proxy: it keeps the routes that it has.
func (s *session) entered(c *config) bool {
	cl := &s.kinds[clusters]
	if s.held != "" || !cl.asked || cl.sent != nil && len(cl.sent.delta.upserts) > 0 || cl.solo != nil {
		return false
	}
	missing := cl.have.missing(s.structure(c).clusters, s.fleet.deltas.between)
	if slices.ContainsFunc(missing.upserts, func(r *item) bool { return !s.blind(c, r) }) || !s.warm(c) {
		return false
	}
	return !s.kinds[levers].asked || s.leversSeq >= c.structureSeq
}

// onlySubscribed keeps what the proxy asked for by name and adds what it asks for anew. Removals are not sent: a proxy lets go of
// names by itself when nothing refers to them.
func (s *session) onlySubscribed(k kind, c *config, w *want, d *diff) *diff {
	state := &s.kinds[k]
	if !state.asked {
		w.exact, w.full = false, len(w.to.names) == 0
		return &diff{}
	}
	out := d
	if len(d.removals) > 0 {
		out = &diff{upserts: d.upserts}
	}
	if !state.names.all(w.to) {
		out = &diff{}
		w.full = w.full && k == endpoints && s.onlyWithheld(c)
		for _, r := range d.upserts {
			if state.names.has(r.Name) {
				out.upserts = append(out.upserts, r)
			}
		}
		w.exact = w.exact && len(out.upserts) == len(d.upserts)
	}
	if len(state.fresh) > 0 {
		out = s.withFresh(state, w, out)
	}
	return out
}

// onlyWithheld says whether the endpoints that the proxy did not ask for are of clusters that it refused, or that wait for those.
func (s *session) onlyWithheld(c *config) bool {
	clusters := s.structure(c).clusters
	return s.reduced != nil && !slices.ContainsFunc(c.endpoints.names, func(name string) bool {
		return !s.kinds[endpoints].names.has(name) && clusters.version(name) != ""
	})
}

// withFresh adds what the proxy asked for although it may have it. Each of it is due until it is sent, but for what the proxy refused or asks for no more.
func (s *session) withFresh(state *kindState, w *want, d *diff) *diff {
	var again []string // what the proxy lacks is in d already
	for name := range state.fresh {
		v := w.to.version(name)
		refused, parked := state.parked[name]
		switch {
		case parked && refused == v, !state.names.has(name), v != "" && w.to.byName[name].wire == nil: // the last: see asHeld
			delete(state.fresh, name)
		case v == "" || v == state.have.version(name):
			again = append(again, name)
		}
	}
	if len(again) == 0 {
		return d
	}
	slices.Sort(again)
	out := &diff{upserts: slices.Clip(d.upserts), removals: slices.Clip(d.removals)}
	for _, name := range again {
		if r, ok := w.to.byName[name]; ok {
			out.upserts = append(out.upserts, r)
		} else {
			out.removals = append(out.removals, name)
		}
	}
	return out
}

// onlyServed keeps the virtual hosts whose route configuration the proxy has: Envoy acknowledges others and drops them.
func (s *session) onlyServed(c *config, w *want, d *diff) *diff {
	r := &s.kinds[routes]
	all := s.structure(c).routes
	if r.inSync {
		return d
	}
	served := map[string]bool{}
	for _, name := range r.names {
		served[name] = r.have.version(name) != "" && r.have.version(name) == all.version(name) && !r.fresh[name]
	}
	out := &diff{removals: d.removals}
	for _, v := range d.upserts {
		if served[routeConfigurationOf(v.Name)] {
			out.upserts = append(out.upserts, v)
		}
	}
	if len(out.upserts) < len(d.upserts) {
		w.exact, w.full = false, false
	}
	return out
}

// routeConfigurationOf returns the namespace of a virtual host's name: "listener/10000" of "listener/10000/orders.test".
func routeConfigurationOf(virtualHost string) string {
	kind, rest, _ := strings.Cut(virtualHost, "/")
	port, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return virtualHost[:len(kind)+1+len(port)]
}

// removeClusters sends the removal of clusters that nothing refers to any more.
func (s *session) removeClusters(c *config) {
	state := &s.kinds[clusters]
	to := s.structure(c).clusters
	missing := state.have.missing(to, s.fleet.deltas.between)
	if len(missing.removals) == 0 || len(missing.upserts) > 0 {
		return
	}
	s.send(clusters, c, want{to: to, delta: missing, exact: true, full: true, final: s.reduced == nil})
}

// send puts a response on its way.
func (s *session) send(k kind, c *config, w want) {
	state := &s.kinds[k]
	if !state.asked || state.sent != nil || w.delta == nil || w.delta.empty() && !state.answer {
		return
	}
	if state.answer && w.delta.empty() && !w.full && len(w.to.names) > 0 {
		return // what there is may not be sent yet
	}
	state.answer, state.at = false, nil
	if len(state.fresh) > 0 {
		for name := range w.delta.versions() {
			delete(state.fresh, name)
		}
		if len(state.fresh) == 0 {
			state.fresh = nil // a map keeps the room that it once had: for all endpoints, at the first load
		}
	}
	if k == virtualHosts {
		s.overtaken, s.overtook = 0, ""
	}
	nonce := s.nextNonce()
	state.place = sending{want: w, nonce: nonce, of: c.reached()}
	state.sent = &state.place
	if k == clusters {
		s.rewarm(w.delta.upserts)
	}
	s.out.put(&response{kindURLs[k], nonce, w.delta})
}

// acknowledged notes that the proxy has what was sent.
func (s *session) acknowledged(k kind, sent *sending) {
	state := &s.kinds[k]
	if k != levers && k != endpoints {
		s.reduced = nil
	}
	if len(state.doubts) > 0 {
		for name := range sent.delta.versions() {
			delete(state.doubts, name)
		}
	}
	if sent.exact {
		state.have = holding{base: sent.to}
	} else {
		for _, r := range sent.delta.upserts {
			state.have.set(r.Name, r.Version)
		}
		for _, name := range sent.delta.removals {
			state.have.set(name, "")
		}
		if sent.full {
			state.have.settle(sent.to, s.fleet.deltas.between)
		}
	}
	if sent.full {
		state.reach(sent.want, sent.of)
		if k == levers {
			s.leversSeq = max(s.leversSeq, sent.of.seq)
		}
	}
	if k == levers && s.held != "" {
		s.decided = decided{sent.top, sent.of.seq}
	} else if k == levers && mapHas(sent.delta.versions(), translate.TopLayer) {
		s.top = sent.top
	}
	if state.solo != nil {
		state.solo.progress = true
	}
}
