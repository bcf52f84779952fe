package comparator

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// run is one run of an experiment.
type run struct {
	key     string
	policy  *policy.Mirror
	targets [2]string // clusters of control and candidate
	most    int       // in flight
	asked   [2]atomic.Int64
	readers *readers
	reflect reflection

	mu       sync.Mutex // never held while tallying is waited for
	gate     *gate
	signals  signals
	live     shadow.Live
	identity [2]string // header and value that each request gets
	received int64     // copies
	inFlight int64     // read and not counted
	asking   int       // of these, that are asked or judged
	drops    map[string]uint64
	changed  bool // since the tally was last sent
	halted   bool // until the server has heard of it and says that the run goes on
	toldIn   int64
	sentIn   int64     // the message that had the tally last; written only by the goroutine that sends counts
	ended    time.Time // zero while there are orders for it

	tallying sync.Mutex // taken before mu
	tally    *shadow.Tally

	encodeNext time.Time // only the goroutine that sends counts has it
}

// The sides of a pair.
const (
	control   = 0
	candidate = 1
)

// newRun makes a run of an order. The errors say what is wrong with its document.
func newRun(key string, o *crossfadev1.RunOrder, most int) (*run, error) {
	m, errs := policy.CompileMirror(o.GetMirror())
	if errs.Err() != nil {
		return nil, errs
	}
	if m.Mode == policy.Compare && m.Control == "" {
		return nil, fmt.Errorf("the order for %s names no control", key)
	}
	options, errs := shadow.OptionsOf(m, o.GetKey())
	if errs.Err() != nil {
		return nil, errs
	}
	if _, errs := shadow.NewComparer(options); errs.Err() != nil {
		return nil, errs
	}
	tally, errs := shadow.NewTally(options)
	if errs.Err() != nil {
		return nil, errs
	}
	g, errs := newGate(m, o.GetKey())
	if errs.Err() != nil {
		return nil, errs
	}
	r := &run{key: key, policy: m, most: most, readers: newReaders(options), gate: g, drops: map[string]uint64{}, changed: true, tally: tally}
	r.targets = [2]string{policy.ShadowClusterName(m.Service, m.Control), policy.ShadowClusterName(m.Service, m.Candidate)}
	return r, nil
}

// order takes what may change while a run goes on. Taken is the last sequence of counts that the server knew when it said so.
func (r *run) order(o *crossfadev1.RunOrder, taken int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate.learning = o.GetLearning()
	r.gate.allow(o.GetMaxRps(), now)
	r.gate.identities.divide(o.GetInstances(), o.GetIndex())
	r.identity = [2]string{o.GetIdentityHeader(), o.GetIdentityValue()}
	for class, n := range o.GetLive() {
		if class >= 0 && int(class) < len(r.live) && n >= 0 {
			r.live[class] = uint64(n)
		}
	}
	r.ended = time.Time{}
	if r.halted && r.toldIn > 0 && taken >= r.toldIn && !r.signals.beyond(r.policy.Stop, now) {
		r.halted, r.toldIn = false, 0
	}
}

// end says that there are no more orders for a run.
func (r *run) end(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.IsZero() {
		r.ended = now
	}
}

// come counts a copy as read and not yet counted.
func (r *run) come() {
	r.mu.Lock()
	r.received++
	r.inFlight++
	r.mu.Unlock()
}

// done says that a copy is in the tally, or was dropped.
func (r *run) done(dropped string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	r.changed = true
	if dropped != "" {
		r.drops[dropped]++
	}
}

// early counts copies that came before the order.
func (r *run) early(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		r.received += int64(n)
		r.drops[dropLease] += n
		r.changed = true
	}
}

// admit says why a copy is not asked; empty if it is, and then it has a place among those in flight.
func (r *run) admit(q *question, now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped(now) {
		return dropLease
	}
	if dropped := r.gate.admit(q, now); dropped != "" {
		return dropped
	}
	if r.asking >= r.most {
		return dropBusy
	}
	r.asking++
	return ""
}

// stopped says that nobody is to be asked, by orders or by what was seen here.
func (r *run) stopped(now time.Time) bool {
	if !r.halted && r.signals.beyond(r.policy.Stop, now) {
		r.halted = true
	}
	return r.halted || !r.ended.IsZero()
}

// mayAsk says whether control may be asked again for a pair that differs.
func (r *run) mayAsk(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.stopped(now)
}

// leave gives the place in flight back.
func (r *run) leave(dropped string) {
	r.mu.Lock()
	r.asking--
	r.mu.Unlock()
	r.done(dropped)
}

// statuses is the mix of live answers.
func (r *run) statuses() shadow.Live {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// observe takes what an origin answered for the signals.
func (r *run) observe(side int, a *shadow.Answer, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if side == control {
		r.signals.control(a, now)
	} else {
		r.signals.candidate(a, now)
	}
}

// testIdentity is the header that each request gets, and its value; empty if none.
func (r *run) testIdentity() (name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.identity[0], r.identity[1]
}
