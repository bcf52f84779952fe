package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
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
	Dir     string // of what is observed, over a restart; empty: it is not kept
	// Roles returns the roles of somebody for a service. Verified says whether a certificate showed the name. nil: nobody has any.
	Roles func(who string, verified bool, service string) []string
	Log   *slog.Logger
	Now   func() time.Time
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
	changed map[string]chan struct{}              // by the same names: closed when shown changes
	another chan struct{}                         // closed when shown has another name
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
		walkers: map[string]*walker{}, shown: map[string]*crossfadev1.RolloutStatus{}, changed: map[string]chan struct{}{}, another: make(chan struct{}), waiting: map[string]*attendance{},
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
// The same name is not begun twice at the same time.
func (e *Engine) Begin(doc *crossfadev1.Rollout, revision int64) { e.begin(doc, revision, nil, false) }

// begin is Begin with a decision that the first look takes, if there is one, and with a document that the store may not have as it is.
func (e *Engine) begin(doc *crossfadev1.Rollout, revision int64, first *act, altered bool) {
	name := doc.GetName()
	e.leave(name)
	st := StatusOf(doc)
	st.Revision = revision
	w, err := e.newWalker(doc, revision)
	if err != nil {
		e.Log.Error("a rollout that the store holds cannot be walked by this version", "rollout", name, "error", err)
		st.WaitingFor = "cannot be walked by this version: " + sentence(err)
	}
	if w == nil && err == nil {
		e.keep.remove(name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.show(name, st)
	switch {
	case w == nil:
	case e.closed:
		w.stop()
	default:
		w.first, w.altered = first, altered
		e.walkers[name] = w
		e.work.Go(w.walk)
	}
}

// Forget ends the walk of a rollout that was deleted, and forgets what is known of it.
func (e *Engine) Forget(name string) {
	e.leave(name)
	e.keep.remove(name)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.shown, name)
	e.signal(name)
	e.unattended(name)
}

// leave ends the walk of a rollout where it is.
func (e *Engine) leave(name string) {
	e.mu.Lock()
	w := e.walkers[name]
	e.mu.Unlock()
	if w != nil {
		w.stop()
		<-w.done
	}
}

// ended takes note that a walk has ended.
func (e *Engine) ended(w *walker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.walkers[w.name] == w {
		delete(e.walkers, w.name)
	}
	e.unattended(w.name)
}

// Act takes somebody's decision. It returns when that is stored, or why it cannot be taken: a *policy.Error.
func (e *Engine) Act(ctx context.Context, name string, a rollout.Action) (*crossfadev1.RolloutStatus, error) {
	e.mu.Lock()
	w, st := e.walkers[name], e.shown[name]
	e.mu.Unlock()
	a.Roles = e.rolesOf(a, st.GetService())
	if w == nil {
		if st == nil {
			return nil, &policy.Error{Kind: policy.NotFound, Code: "unknown_rollout", Field: "name", Value: name, Message: "there is no rollout of this name", Next: "`shadowctl rollout list` shows them"}
		}
		return nil, over(a.Kind, st)
	}
	reply := make(chan error, 1)
	select {
	case w.acts <- &act{Action: a, reply: reply}:
	case <-w.done:
		return nil, over(a.Kind, e.Status(name))
	case <-ctx.Done():
		return nil, &policy.Error{Kind: policy.TimedOut, Code: "not_taken", Field: "name", Value: name, Message: "an earlier decision is still being stored; this one was not taken", Next: "try again"}
	}
	select {
	case err := <-reply:
		return e.answer(name, err)
	case <-ctx.Done():
		return nil, &policy.Error{Kind: policy.TimedOut, Code: "not_stored", Field: "name", Value: name, Message: "the decision is not stored yet, and whether it will be is not known", Next: "look at `shadowctl rollout explain " + name + "`, then repeat it if it was not taken"}
	case <-w.done:
	}
	select {
	case err := <-reply:
		return e.answer(name, err)
	default:
		return nil, stopping(name)
	}
}

func (e *Engine) answer(name string, err error) (*crossfadev1.RolloutStatus, error) {
	if err != nil {
		return nil, err
	}
	return e.Status(name), nil
}

func stopping(name string) *policy.Error {
	return &policy.Error{
		Kind: policy.Unavailable, Code: "rollout_stopping", Field: "name", Value: name, Message: "the rollout is not walked any more; whether the decision was taken is not known",
		Next: "look at `shadowctl rollout explain " + name + "`",
	}
}

// over is why nothing can be decided of a rollout that nobody walks.
func over(kind rollout.ActionKind, st *crossfadev1.RolloutStatus) *policy.Error {
	if !rollout.Phase(st.GetState()).Over() {
		return &policy.Error{
			Kind: policy.Unavailable, Code: "rollout_unwalked", Field: "action", Value: string(kind), Message: "this server does not walk the rollout: " + st.GetWaitingFor(),
			Next: "look at the log of the server",
		}
	}
	return &policy.Error{
		Kind: policy.Held, Code: "rollout_over", Field: "action", Value: string(kind),
		Message: fmt.Sprintf("the rollout is over (%s: %s)", st.GetState(), st.GetReason()), Next: "start another",
	}
}

// rolesOf are the roles of who acts.
func (e *Engine) rolesOf(a rollout.Action, service string) []string {
	switch {
	case e.Roles == nil:
		return nil
	case a.Name != "":
		return e.Roles(a.Name, true, service)
	}
	return e.Roles(a.Who, false, service)
}
