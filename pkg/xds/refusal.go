package xds

import (
	"slices"
	"strings"
)

// Refusal is a response that a proxy did not accept, in its words.
type Refusal struct {
	Proxy     string
	Type      string   // short name, for example "Listener"
	Resources []string // that are parked
	Message   string
	Revision  int64 // of the fleet when it was parked
	seq       int64
	changedIn func(was, is *config) bool // says whether a publication changed any of the resources
}

// again says whether another refusal is of the same resources by the same proxy.
func (r *Refusal) again(o Refusal) bool {
	return r.Proxy == o.Proxy && r.Type == o.Type && slices.Equal(r.Resources, o.Resources)
}

// soloPass finds out which of several resources a proxy refuses: an Envoy refuses a whole response and seldom names the culprit.
type soloPass struct {
	queue    []*diff // of one resource each
	refused  []*diff
	answers  map[*diff]answer // to what was refused
	progress bool             // something was accepted since the pass began: what was refused before may work now
}

func newSoloPass(d *diff) *soloPass {
	p := &soloPass{answers: map[*diff]answer{}}
	for _, name := range d.removals {
		p.queue = append(p.queue, &diff{removals: []string{name}})
	}
	for _, r := range d.upserts {
		p.queue = append(p.queue, &diff{upserts: []*item{r}})
	}
	return p
}

// answer is what a proxy said to a response, and the publication that this came from.
type answer struct {
	message string
	seq     int64
}

// next returns what to try, nil at the end.
func (p *soloPass) next() *diff {
	if len(p.queue) == 0 && p.progress && len(p.refused) > 0 {
		p.queue, p.refused, p.progress = p.refused, nil, false
	}
	if len(p.queue) == 0 {
		return nil
	}
	d := p.queue[0]
	p.queue = p.queue[1:]
	return d
}

// names returns the names in d and the version of each, "" for a removal.
func (d *diff) versions() map[string]string {
	out := make(map[string]string, len(d.upserts)+len(d.removals))
	for _, r := range d.upserts {
		out[r.Name] = r.Version
	}
	for _, name := range d.removals {
		out[name] = ""
	}
	return out
}

// wantSolo gives the next resource of a solo pass, or ends the pass.
func (s *session) wantSolo(k kind, w want) want {
	state := &s.kinds[k]
	w.exact, w.full = false, false
	w.delta = &diff{}
	if state.sent != nil || !state.asked {
		return w
	}
	for d := state.solo.next(); d != nil; d = state.solo.next() {
		if s.stillWanted(state, w.to, d) {
			w.delta = d
			return w
		}
	}
	for _, d := range state.solo.refused {
		s.park(k, d, state.solo.answers[d])
	}
	state.solo = nil
	return s.want(k, s.fleet.config.Load())
}

func (s *session) stillWanted(state *kindState, to *table, d *diff) bool {
	for name, version := range d.versions() {
		if to.version(name) != version || state.have.version(name) == version {
			return false
		}
	}
	return true
}

// refused takes a refusal: of one resource, which is parked, or of several, which are tried one at a time.
func (s *session) refused(k kind, sent *sending, message string) {
	state := &s.kinds[k]
	message = cleanMessage(message)
	if k == levers {
		s.top = sent.layers.top // overlaid ones are not tried again
	}
	s.proxy.nacked(Nack{Type: k.String(), Resource: strings.Join(sortedKeys(sent.delta.versions()), ", "), Message: message, Time: s.server.now()})
	s.fleet.nacks(k)
	if k.inParts() {
		state.notTaken(sent.delta)
	}
	switch {
	case state.solo != nil:
		state.solo.refused = append(state.solo.refused, sent.delta)
		state.solo.answers[sent.delta] = answer{message, sent.of.seq}
	case len(sent.delta.upserts)+len(sent.delta.removals) > 1:
		state.solo = newSoloPass(sent.delta)
	default:
		s.park(k, sent.delta, answer{message, sent.of.seq})
	}
}

// park keeps a resource from being sent again until it changes.
func (s *session) park(k kind, d *diff, a answer) {
	state := &s.kinds[k]
	if state.parked == nil {
		state.parked = map[string]string{}
	}
	for name, version := range d.versions() {
		state.parked[name] = version
	}
	s.parking, s.reduced = true, nil
	at := s.fleet.config.Load().reached()
	r := &Refusal{
		Proxy: s.proxy.id, Type: k.String(), Resources: sortedKeys(d.versions()), Message: a.message, Revision: at.revision, seq: at.seq,
		changedIn: s.changedIn(k, d, a.seq),
	}
	s.fleet.refusedUp(r)
	s.news.refusals = append(s.news.refusals, r)
}

// changedIn returns what says whether a publication changed any resource of d, which was refused as of one: a later one is concerned only if
// it has the same again. Of levers, and of routes that carry weights, every one may.
func (s *session) changedIn(k kind, d *diff, seq int64) func(was, is *config) bool {
	refused, at, any := d.versions(), s.places, k == levers || k == endpoints || s.incompatible()
	return func(was, is *config) bool {
		if any {
			return true
		}
		from, to := was.structure.table(k, at), is.structure.table(k, at)
		for name, version := range refused {
			if from.version(name) != to.version(name) && (is.seq <= seq || to.version(name) == version) {
				return true
			}
		}
		return false
	}
}

// cleanMessage drops the dump of the resource that some of Envoy's messages begin with, and the newline that others end with, and keeps the
// beginning of a message that no Envoy writes.
func cleanMessage(message string) string {
	message = strings.TrimSpace(message)
	if strings.HasPrefix(message, "goo.gle/debug") {
		if i := strings.LastIndex(message, "\n: "); i >= 0 {
			message = strings.TrimSpace(message[i+3:])
		}
	}
	if len(message) > maxWords {
		message = strings.ToValidUTF8(message[:maxWords], "") + "…"
	}
	return message
}
