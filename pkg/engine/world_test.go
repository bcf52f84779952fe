package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// world is a store, a fleet and two origins, in virtual time: what an engine sees and does, and what outlives it.
type world struct {
	t *testing.T

	mu      sync.Mutex
	stored  map[string]*crossfadev1.Rollout // what a restart finds
	saves   []string                        // actions with reasons
	splits  map[string]*split               // by service
	full    bool                            // the store takes nothing
	hung    bool                            // the store answers nothing
	kill    func(what string) bool          // called before and after each effect; true: the engine is dropped
	verdict rollout.Verdict                 // of mirrors
	gone    bool

	rate   map[string]float64 // requests per second by origin, at 100 %
	errors map[string]float64 // share
	slow   map[string]time.Duration

	hooks   []Event
	refuses func(e Event) error

	dir    string
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

func newWorld(t *testing.T) *world {
	return &world{
		t: t, stored: map[string]*crossfadev1.Rollout{}, splits: map[string]*split{}, rate: map[string]float64{"ecs": 400, "eks": 400},
		errors: map[string]float64{}, slow: map[string]time.Duration{}, dir: t.TempDir(), verdict: rollout.Pass,
	}
}

// start starts an engine on what is stored.
func (w *world) start() {
	w.engine = New(Config{
		Control: w, Traffic: traffic{w}, Hooks: w, Dir: w.dir, Roles: map[string][]string{"approver": {"bob"}}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Duration(w.wall.Load())) },
	})
	w.mu.Lock()
	var all []*crossfadev1.Rollout
	for _, doc := range w.stored {
		all = append(all, doc)
	}
	w.mu.Unlock()
	for _, doc := range all {
		w.engine.Begin(doc, 1)
	}
}

// restart drops the engine, as kill -9 does, and starts another.
func (w *world) restart() {
	w.engine.Close()
	w.start()
}

// run stores a rollout that starts, and begins it.
func (w *world) run(doc *crossfadev1.Rollout) {
	w.t.Helper()
	c, errs := rollout.Compile(doc)
	if errs != nil {
		w.t.Fatal(errs)
	}
	s := w.split(doc.GetService())
	p, _, errs := c.For(&rollout.World{
		Origins: []string{"ecs", "eks"}, Primary: "ecs", Share: map[string]int32{"ecs": 10000}, Roles: map[string][]string{"approver": {"bob"}}, Starter: "ann@laptop",
		Mirrors: map[string]rollout.Mirror{"m1": {Service: doc.GetService(), Candidate: "eks"}}, Hook: func(string) error { return nil },
	})
	if errs != nil {
		w.t.Fatal(errs)
	}
	p.ID = doc.GetName() + "@" + newID()[:8]
	started := rollout.StartRun(doc, p, doc.GetRun().GetLease().AsDuration(), rollout.Split{Weight: s.weight, Cause: s.cause, Revision: s.revision}, time.Now())
	w.mu.Lock()
	w.stored[doc.GetName()] = started
	w.mu.Unlock()
	w.engine.Begin(started, 1)
}

func (w *world) split(service string) *split {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at(service)
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

func (w *world) See(p *rollout.Plan, _ bool) Sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return Sight{Gone: true}
	}
	s := w.at(p.Service)
	made := map[string]int64{}
	for id, r := range s.made {
		made[id] = r
	}
	return Sight{
		Split: rollout.Split{Weight: s.weight, Cause: s.cause, Revision: s.revision, Rollback: s.rollback, By: s.by},
		Fleet: rollout.Fleet{Cause: s.cause, Applied: true, Proven: true}, Made: made, Ready: rollout.Ready{OK: true}, Fleets: []string{"default"},
	}
}

func (w *world) Done(string) {}

func (w *world) SetSplit(ctx context.Context, c Change) error {
	if w.dies("before split " + c.ID) {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := w.wait(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(c.Plan.Service)
	if _, ok := s.made[c.ID]; ok {
		return nil
	}
	if s.revision != c.Expect {
		return &policy.Error{Kind: policy.Conflict, Code: "revision_conflict", Message: "another revision came first"}
	}
	w.set(s, policy.BasisPoints(c.Weight), c.ID, false, c.Who)
	return nil
}

func (w *world) RollBack(c Change) error {
	if w.dies("before rollback " + c.ID) {
		return errors.New("killed")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(c.Plan.Service)
	if _, ok := s.made[c.ID]; !ok {
		w.set(s, 0, c.ID, true, c.Who)
	}
	return nil
}

// set changes a split. w.mu is held.
func (w *world) set(s *split, weight policy.BasisPoints, cause string, rollback bool, by string) {
	s.weight, s.cause, s.rollback, s.by = weight, cause, rollback, by
	s.revision++
	s.made[cause] = s.revision
	s.history = append(s.history, fmt.Sprintf("%s %d", cause, weight))
}

// byHand changes a split as a user does.
func (w *world) byHand(service string, weight policy.BasisPoints, rollback bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.at(service)
	w.set(s, weight, fmt.Sprintf("change/%d", s.revision), rollback, "cleo")
}

func (w *world) Save(ctx context.Context, doc *crossfadev1.Rollout, _ int64, s Saving) (int64, error) {
	if w.dies("before save " + s.Action) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if err := w.wait(ctx); err != nil {
		return 0, err
	}
	w.mu.Lock()
	w.stored[doc.GetName()] = proto.CloneOf(doc)
	w.saves = append(w.saves, s.Action+": "+s.Reason)
	n := int64(len(w.saves))
	w.mu.Unlock()
	if w.dies("after save " + s.Action) {
		<-ctx.Done()
	}
	return n, nil
}

func (w *world) Mirror(string) (rollout.Verdict, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verdict, "as the test says"
}

func (w *world) Allowed(string) error { return nil }

func (w *world) Ask(_ context.Context, _ string, e Event) error {
	w.mu.Lock()
	refuses := w.refuses
	w.mu.Unlock()
	if refuses != nil {
		if err := refuses(e); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks = append(w.hooks, e)
	return nil
}

// traffic counts what the origins of a world do.
type traffic struct{ w *world }

func (t traffic) Watch(service string, _ []string, origins ...string) Watch {
	return &watch{w: t.w, service: service, origins: origins, last: time.Now(), carry: map[string]float64{}}
}

type watch struct {
	w       *world
	service string
	origins []string
	last    time.Time
	carry   map[string]float64
}

func (x *watch) Read(now time.Time) []guard.Window {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	out := make([]guard.Window, len(x.origins))
	for i, o := range x.origins {
		length := now.Sub(x.last)
		share := float64(x.w.at(x.service).weight) / 10000
		if o != "eks" {
			share = 1 - share
		}
		n := x.whole(o, x.w.rate[o]*share*length.Seconds())
		bad := x.whole(o+" bad", float64(n)*x.w.errors[o])
		took := max(x.w.slow[o], 20*time.Millisecond)
		out[i] = guard.Window{Length: length, Completed: n, Failed: min(bad, n)}
		if n > 0 {
			out[i].Latency = []guard.Bucket{{Above: took, UpTo: took + took/20, Count: n}}
		}
	}
	x.last = now
	return out
}

// whole carries what is less than one to the next time.
func (x *watch) whole(key string, n float64) uint64 {
	n += x.carry[key]
	out := uint64(n)
	x.carry[key] = n - float64(out)
	return out
}

func (x *watch) Reporting(time.Time) (int, int) { return 2, 0 }
func (x *watch) Changed() <-chan struct{}       { return nil }
func (x *watch) Close()                         {}
func (w *world) change(f func())                { w.mu.Lock(); f(); w.mu.Unlock() }
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
	w.t.Fatalf("%s is %s, not %s: %s (%s)\n%s", name, st.GetState(), phase, st.GetWaitingFor(), st.GetReason(), strings.Join(w.saves, "\n"))
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
