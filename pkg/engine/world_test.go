package engine

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// world is a store, a fleet and two origins, in virtual time: what an engine sees and does, and what outlives it.
type world struct {
	t testing.TB

	mu      sync.Mutex
	stored  map[string]*crossfadev1.Rollout // what a restart finds
	saves   []string                        // actions with reasons
	splits  map[string]*split               // by service
	full    bool                            // the store takes nothing
	hung    bool                            // the store answers nothing
	kill    func(what string) bool          // called before and after each effect; true: the engine is dropped
	verdict rollout.Verdict                 // of mirrors
	gone    bool

	fleets  []string
	stands  time.Duration // that the next look takes
	foreign bool          // somebody else writes the rollouts

	rate    map[string]float64 // requests per second by origin, at 100 %
	errors  map[string]float64 // share
	slow    map[string]time.Duration
	mute    bool // no proxy reports
	watches int  // that are open
	made    int  // that ever were

	hooks   []Event
	refuses func(ctx context.Context, e Event) error
	asks    func(ctx context.Context) (value float64, ok bool, why string, err error)
	asked   int // queries

	dir    string
	log    bytes.Buffer
	engine *Engine
	wall   atomic.Int64 // that the clock of the wall jumped by
}

type split struct {
	weight   policy.BasisPoints // of eks
	cause    string
	revision int64
	rollback bool
	by       string
	made     map[string]int64
	history  []string // "cause weight"
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, stored: map[string]*crossfadev1.Rollout{}, splits: map[string]*split{}, rate: map[string]float64{"ecs": 400, "eks": 400},
		errors: map[string]float64{}, slow: map[string]time.Duration{}, dir: t.TempDir(), verdict: rollout.Pass, fleets: []string{"default"},
	}
}

// start starts an engine on what is stored.
func (w *world) start() { w.startBy((*Engine).Begin) }

// restore ends the engine, and starts another on what is stored as on a backup.
func (w *world) restore() {
	w.engine.Close()
	w.startBy((*Engine).BeginPaused)
}

func (w *world) startBy(begin func(*Engine, *crossfadev1.Rollout, int64)) {
	w.engine = New(Config{
		Control: w, Traffic: traffic{w}, Hooks: hooks{w}, Queries: queries{w}, Dir: w.dir, Roles: rolesOf,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Now: func() time.Time { return time.Now().Add(time.Duration(w.wall.Load())) },
	})
	w.mu.Lock()
	var all []*crossfadev1.Rollout
	for _, doc := range w.stored {
		all = append(all, doc)
	}
	w.mu.Unlock()
	for _, doc := range all {
		begin(w.engine, doc, 1)
	}
}

// crash drops the engine as kill -9 does, and starts another: from when it died nothing was done any more, and no file written.
func (w *world) crash(files map[string][]byte) {
	w.t.Helper()
	w.engine.Close()
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.change(func() { w.kill = nil })
	w.start()
}

// files are what the engine keeps.
func (w *world) files() map[string][]byte {
	out := map[string][]byte{}
	all, _ := filepath.Glob(filepath.Join(w.dir, "*.json"))
	for _, path := range all {
		if data, err := os.ReadFile(path); err == nil {
			out[filepath.Base(path)] = data
		}
	}
	return out
}

// run stores a rollout that starts, and begins it.
func (w *world) run(doc *crossfadev1.Rollout) {
	w.t.Helper()
	w.engine.Begin(w.plan(doc), 1)
}

// plan stores a rollout that starts.
func (w *world) plan(doc *crossfadev1.Rollout) *crossfadev1.Rollout {
	w.t.Helper()
	c, errs := rollout.Compile(doc)
	if errs != nil {
		w.t.Fatal(errs)
	}
	s := w.split(doc.GetService())
	p, _, errs := c.For(&rollout.World{
		Origins: []string{"ecs", "eks"}, Primary: "ecs", Share: map[string]int32{"ecs": 10000}, Roles: map[string][]string{"approver": {"bob"}}, Starter: "ann@laptop",
		Mirrors: map[string]rollout.Mirror{"m1": {Service: doc.GetService(), Candidate: "eks"}}, Hook: func(string) error { return nil }, Server: func(string) error { return nil },
	})
	if errs != nil {
		w.t.Fatal(errs)
	}
	p.ID = doc.GetName() + "@" + newID()[:8]
	started := rollout.StartRun(doc, p, doc.GetRun().GetLease().AsDuration(), rollout.Split{Weight: s.weight, Cause: s.cause, Revision: s.revision}, time.Now())
	w.mu.Lock()
	w.stored[doc.GetName()] = started
	w.mu.Unlock()
	return started
}

// split is how the split of a service is now.
func (w *world) split(service string) split {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.at(service)
}

// history are the revisions of rollouts, a line each.
func (w *world) history() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.saves, "\n")
}

// saved is the state that the store has of a rollout.
func (w *world) saved(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored[name].GetRun().GetState()
}

// events are what the webhook took.
func (w *world) events() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.hooks)
}

func (w *world) at(service string) *split {
	if w.splits[service] == nil {
		w.splits[service] = &split{cause: "change/first", revision: 7, made: map[string]int64{}}
	}
	return w.splits[service]
}

func (w *world) dies(what string) bool {
	w.mu.Lock()
	kill := w.kill
	w.mu.Unlock()
	return kill != nil && kill(what)
}

var errFull = &policy.Error{Kind: policy.Unavailable, Code: "store_unavailable", Message: "no space left on device"}

// wait is what a write to the store takes.
func (w *world) wait(ctx context.Context) error {
	w.mu.Lock()
	full, hung := w.full, w.hung
	w.mu.Unlock()
	if hung {
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		return errFull
	}
	if full {
		return errFull
	}
	select {
	case <-time.After(3 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) change(f func()) { w.mu.Lock(); f(); w.mu.Unlock() }
func (w *world) state(name string) rollout.Phase {
	return rollout.Phase(w.engine.Status(name).GetState())
}
func (w *world) status(n string) *crossfadev1.RolloutStatus { return w.engine.Status(n) }

// until lets time pass until a rollout is in a phase.
func (w *world) until(name string, phase rollout.Phase) {
	w.t.Helper()
	for range 4000 {
		if w.state(name) == phase {
			return
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	st := w.status(name)
	w.t.Fatalf("%s is %s, not %s: %s (%s)\n%s", name, st.GetState(), phase, st.GetWaitingFor(), st.GetReason(), w.history())
}

// document is a plan of three steps with a gate and the first team's guards.
func document(change ...func(*crossfadev1.Rollout)) *crossfadev1.Rollout {
	r := &crossfadev1.Rollout{
		ApiVersion: policy.APIVersion, Kind: policy.KindRollout, Name: "r1", Service: "orders", To: "eks", Bake: durationpb.New(10 * time.Second),
		Steps: []*crossfadev1.RolloutStep{
			{Weight: 1000}, {Weight: 5000, Gate: &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver", NotStarter: true}}}, {Weight: 10000},
		},
		Guards: []*crossfadev1.RolloutGuard{{Name: "lat", Metric: "p99", Max: "10s"}, {Name: "err", Metric: "errorRate", Max: "0.5%"}},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func ungated(r *crossfadev1.Rollout) { r.Steps[1].Gate = nil }

func hooked(r *crossfadev1.Rollout) { r.Hook = &crossfadev1.RolloutHook{Url: "https://hooks.test/x"} }

func act0(kind rollout.ActionKind, who string) rollout.Action {
	return rollout.Action{ID: newID(), Kind: kind, Who: who, Reason: "because"}
}

// causes are the weights that a split got, in order.
func (w *world) causes(service string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.at(service).history)
}

// leaves closes the engine, and looks what it left behind. That all goroutines have ended is what a bubble waits for.
func (w *world) leaves() {
	w.t.Helper()
	w.engine.Close()
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.walkers)+len(e.waiting) > 0 || w.watches != 0 {
		w.t.Errorf("left: %d walkers, %d who wait, %d watches", len(e.walkers), len(e.waiting), w.watches)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { time.Sleep(d) }

// rolesOf gives bob the role approver, on any host.
func rolesOf(who string, verified bool, _ string) []string {
	if name, _, _ := strings.Cut(who, "@"); who == "spiffe://example.test/people/bob" && verified || name == "bob" && !verified {
		return []string{"approver"}
	}
	return nil
}
