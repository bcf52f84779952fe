package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// Config is what an engine works with. Hooks, Queries, Dir, Log and Now are optional.
type Config struct {
	Control Control
	Traffic Traffic
	Hooks   Hooks
	Queries Queries
	Dir     string              // of what is observed, over a restart; empty: it is not kept
	Roles   map[string][]string // who has which role
	Log     *slog.Logger
	Now     func() time.Time
}

// Engine walks rollouts. Its methods are safe for concurrent use.
type Engine struct {
	Config
	clock string // of the ticks: this process
	began time.Time
	keep  keeper

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	walkers map[string]*walker                    // by name: those of runs that are walked
	shown   map[string]*crossfadev1.RolloutStatus // of all runs, as they were seen last
	changed map[string]chan struct{}              // closed when shown changes
	waiting map[string]*attendance
}

// New returns an engine that walks nothing yet.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	e := &Engine{
		Config: c, clock: newID(), began: time.Now(), keep: keeper{dir: c.Dir, log: c.Log},
		walkers: map[string]*walker{}, shown: map[string]*crossfadev1.RolloutStatus{}, changed: map[string]chan struct{}{}, waiting: map[string]*attendance{},
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return hex.EncodeToString(b[:])
}

// Close ends all walks where they are, and keeps what they have observed. It may be called again.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.work.Wait()
}

// Begin walks a run, or goes on with it where its document says that it was left. Of a run that is over and keeps no origin it only knows how it ended.
func (e *Engine) Begin(doc *crossfadev1.Rollout, revision int64) {
	name := doc.GetName()
	e.Forget(name)
	st := StatusOf(doc)
	st.Revision = revision
	e.show(name, st)
	w, err := e.newWalker(doc, revision)
	if err != nil {
		e.Log.Error("a rollout that the store holds cannot be walked by this version", "rollout", name, "error", err)
		st.WaitingFor = "cannot be walked by this version: " + err.Error()
		e.show(name, st)
		return
	}
	if w == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.walkers[name] = w
	e.work.Go(w.walk)
}

// Forget ends the walk of a rollout that was deleted or is replaced.
func (e *Engine) Forget(name string) {
	e.mu.Lock()
	w := e.walkers[name]
	delete(e.walkers, name)
	delete(e.shown, name)
	e.mu.Unlock()
	if w != nil {
		w.stop()
		<-w.done
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.signal(name)
}

// Act takes somebody's decision. It returns when that is stored, or why it cannot be taken: a *policy.Error.
func (e *Engine) Act(ctx context.Context, name string, a rollout.Action) (*crossfadev1.RolloutStatus, error) {
	a.Roles = e.rolesOf(a.Who)
	e.mu.Lock()
	w, st := e.walkers[name], e.shown[name]
	e.mu.Unlock()
	if w == nil {
		if st == nil {
			return nil, &policy.Error{Kind: policy.NotFound, Code: "unknown_rollout", Field: "name", Value: name, Message: "there is no rollout of this name", Next: "`shadowctl rollout list` shows them"}
		}
		return nil, over(a.Kind, st)
	}
	reply := make(chan error, 1)
	select {
	case w.acts <- act{a, reply}:
	case <-w.done:
		return nil, over(a.Kind, e.Status(name))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-reply:
		return e.Status(name), err
	case <-w.done:
		select {
		case err := <-reply:
			return e.Status(name), err
		default:
		}
		return nil, &policy.Error{Kind: policy.Unavailable, Code: "rollout_stopping", Field: "name", Value: name, Message: "the server is stopping; whether the decision was taken is not known", Next: "look at `shadowctl rollout explain " + name + "` when it is back"}
	case <-ctx.Done():
		return nil, &policy.Error{Kind: policy.TimedOut, Code: "not_stored", Field: "name", Value: name, Message: "the decision is not stored yet; it will be taken as soon as the store takes it", Next: "look at `shadowctl rollout explain " + name + "`"}
	}
}

func over(kind rollout.ActionKind, st *crossfadev1.RolloutStatus) *policy.Error {
	return &policy.Error{
		Kind: policy.Invalid, Code: "rollout_over", Field: "action", Value: string(kind),
		Message: fmt.Sprintf("the rollout is over (%s: %s)", st.GetState(), st.GetReason()), Next: "start another",
	}
}

// rolesOf are the roles of somebody: whoever is named with a host (ann@laptop) has those of the name, too.
func (e *Engine) rolesOf(who string) []string {
	name, _, _ := strings.Cut(who, "@")
	var out []string
	for role, members := range e.Roles {
		if slices.Contains(members, who) || slices.Contains(members, name) {
			out = append(out, role)
		}
	}
	slices.Sort(out)
	return out
}

// Status is how a rollout is; nil if it is not known. It is not changed any more.
func (e *Engine) Status(name string) *crossfadev1.RolloutStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shown[name]
}

// Changed is closed when a rollout is otherwise than it was.
func (e *Engine) Changed(name string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed[name] == nil {
		e.changed[name] = make(chan struct{})
	}
	return e.changed[name]
}

// show publishes how a rollout is.
func (e *Engine) show(name string, st *crossfadev1.RolloutStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown[name] = st
	e.signal(name)
}

// signal wakes who waits for a change. e.mu is held.
func (e *Engine) signal(name string) {
	if c := e.changed[name]; c != nil {
		close(c)
		delete(e.changed, name)
	}
}

// attendance is who waits for the end of a rollout.
type attendance struct {
	present int
	since   time.Time // when the last one left; zero: nobody was there yet
}

// Attend says that somebody waits for the end of a rollout, until leave is called.
func (e *Engine) Attend(name string) (leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.waiting[name]
	if a == nil {
		a = &attendance{}
		e.waiting[name] = a
	}
	a.present++
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		a.present--
		a.since = time.Now()
	})
}

// alone is for how long nobody has waited for a rollout that is walked since begun.
func (e *Engine) alone(name string, begun, now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.waiting[name]
	switch {
	case a == nil:
		return now.Sub(begun)
	case a.present > 0:
		return 0
	case a.since.After(begun):
		begun = a.since
	}
	return now.Sub(begun)
}
