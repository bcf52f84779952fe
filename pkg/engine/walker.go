package engine

import (
	"context"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

const (
	lookEvery = 250 * time.Millisecond
	lookApart = 100 * time.Millisecond // at least, if all that is new are reports
	keepEvery = 5 * time.Second
	tellFor   = 24 * time.Hour // after the end, a webhook that takes nothing
)

// act is a decision on its way.
type act struct {
	rollout.Action
	reply chan<- error // holds one; nil: nobody waits for it
	back  bool         // everything was sent back for it, before it was stored
}

// answer tells whoever decided what became of it.
func (a *act) answer(err error) {
	if a.reply != nil {
		a.reply <- err
	}
}

// walker walks one run. Its fields are those of its goroutine, but for the context and the channels.
type walker struct {
	e    *Engine
	name string
	plan *rollout.Plan

	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
	acts chan *act
	news chan func()    // what became of work in the background
	work sync.WaitGroup // that work

	guards  []*watched
	mirrors []*mirrored
	queries []*queried
	outbox  *outbox

	watch  Watch
	fleets []string      // that it watches
	silent time.Duration // without a request, up to now: the guards do not know of it yet

	doc      *crossfadev1.Rollout // as it is stored
	revision int64
	stored   rollout.State
	state    rollout.State // the same with later counts
	pending  *act          // comes into the next look
	first    *act          // comes into each look until it is stored, or refused; nil: nothing does
	altered  bool          // what begun of the document is not what the store has
	lost     string        // why it cannot go on
	sight    Sight         // the last one

	begun    time.Time
	looked   time.Time
	over     time.Time     // when the run was seen to be; zero: it is not
	observed time.Duration // in which proxies reported
	requests int64         // of To
	weight   policy.BasisPoints

	unsaved time.Time // since when there is a state that has to be stored; zero: there is none
	unset   time.Time // since when the store takes no split of a rollback; zero: it does
	saving  time.Time // since when; zero: nothing is being stored
	save    retry
	keeping bool
	kept    time.Time
	split   setting
	hook    calling
	back    returning

	past     []rollout.Note // the last ones
	shown    []*crossfadev1.RolloutNote
	remarked int                        // how many there were
	told     int                        // of these, when the status was published last
	bare     *crossfadev1.RolloutStatus // what was published last, without them
}

// newWalker makes the walker of a run; nil if there is nothing to walk any more.
func (e *Engine) newWalker(doc *crossfadev1.Rollout, revision int64) (*walker, error) {
	state, err := rollout.ReadWalk(doc)
	if err != nil {
		return nil, err
	}
	plan, guards, errs := rollout.ResumeRun(doc)
	if plan == nil {
		return nil, errs
	}
	if state.Phase.Over() && !rollout.Retaining(state) && (len(state.Outbox) == 0 || plan.Hook == "") {
		return nil, nil
	}
	w := &walker{
		e: e, name: doc.GetName(), plan: plan, doc: doc, revision: revision, stored: state, state: state, begun: time.Now(), kept: time.Now(),
		done: make(chan struct{}), acts: make(chan *act), news: make(chan func(), 16), weight: state.Weight,
	}
	w.ctx, w.stop = context.WithCancel(e.ctx)
	w.equip(guards)
	w.remember()
	return w, nil
}

// equip gives a walker what its guards need.
func (w *walker) equip(guards []*guard.Guard) {
	for _, g := range guards {
		w.guards = append(w.guards, newWatched(g, w.plan))
	}
	for _, g := range w.plan.Guards {
		switch {
		case g.Mirror != "":
			w.mirrors = append(w.mirrors, &mirrored{name: g.Name, mirror: g.Mirror})
		case g.Query != nil:
			w.queries = append(w.queries, &queried{name: g.Name, query: g.Query})
		}
	}
}

// remember takes over what was observed before a restart.
func (w *walker) remember() {
	k := w.e.keep.read(w.name, w.stored)
	if k == nil {
		return
	}
	w.state, w.weight = k.over(w.stored), k.Weight
	for _, g := range w.guards {
		g.restore(k.Guards[g.g.Name()], k.Primary[g.g.Name()])
	}
	for _, n := range k.Past {
		w.remark(n)
	}
}

// walk looks until the run is over, or the engine is closed.
func (w *walker) walk() {
	defer close(w.done)
	defer w.end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	w.outbox = newOutbox(w)
	for {
		w.look()
		if w.rests() || !w.wait(tick.C) || w.ctx.Err() != nil {
			return
		}
	}
}

// rests says that nothing is left to do: the run is over, keeps no origin, and the webhook has everything, and the store knows that: it is not told
// again after a restart.
func (w *walker) rests() bool {
	if !w.stored.Phase.Over() || rollout.Retaining(w.stored) {
		w.over = time.Time{}
		return false
	}
	if w.over.IsZero() {
		w.over = time.Now()
	}
	told := len(w.state.Outbox) == 0 && (w.plan.Hook == "" || len(w.stored.Outbox) == 0)
	return w.saving.IsZero() && w.pending == nil && (told || time.Since(w.over) > tellFor)
}

// wait waits for a reason to look, and takes decisions. It says whether to go on.
func (w *walker) wait(tick <-chan time.Time) bool {
	acts := w.acts
	if w.pending != nil || w.lost != "" {
		acts = nil // one after the other
	}
	var counted <-chan struct{}
	var later <-chan time.Time
	switch apart := time.Since(w.looked); {
	case w.watch == nil:
	case apart >= lookApart:
		counted = w.watch.Changed()
	default:
		later = time.After(lookApart - apart) // then what was counted meanwhile is looked at, not only at the next tick
	}
	for {
		select {
		case <-w.ctx.Done():
			return false
		case <-later:
			counted, later = w.watch.Changed(), nil
			continue
		case <-tick:
		case <-counted:
		case then := <-w.news:
			then()
		case w.pending = <-acts:
		}
		return true
	}
}

// end leaves the walk where it is.
func (w *walker) end() {
	rests := w.rests()
	w.stop()
	w.outbox.close()
	w.join()
	if w.watch != nil {
		w.watch.Close()
	}
	w.e.Control.Done(w.plan.ID)
	if rests {
		w.e.keep.remove(w.name)
	} else {
		w.e.keep.write(w.name, w.keepable())
	}
	w.e.ended(w)
}
