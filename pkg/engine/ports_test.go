package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func (w *world) See(p *rollout.Plan, _ bool) Sight {
	w.mu.Lock()
	stands := w.stands
	w.stands = 0
	w.mu.Unlock()
	pass(stands)
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
		Fleet: rollout.Fleet{Cause: s.cause, Applied: true, Proven: true}, Made: made, Ready: rollout.Ready{OK: true}, Fleets: slices.Clone(w.fleets),
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
	if err := w.setSplit(c); err != nil {
		return err
	}
	if w.dies("after split " + c.ID) {
		<-ctx.Done()
	}
	return nil
}

func (w *world) setSplit(c Change) error {
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
	if w.foreign {
		w.mu.Unlock()
		return 0, &policy.Error{Kind: policy.Conflict, Code: "revision_conflict", Message: "another run took its place"}
	}
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

// hooks are a webhook that agrees, if nothing else is said.
type hooks struct{ w *world }

func (hooks) Allowed(string) error { return nil }

func (h hooks) Ask(ctx context.Context, _ string, e Event) error {
	w := h.w
	if w.dies("before hook " + e.Type) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w.mu.Lock()
	refuses := w.refuses
	w.mu.Unlock()
	if refuses != nil {
		if err := refuses(ctx, e); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.hooks = append(w.hooks, e)
	w.mu.Unlock()
	if w.dies("after hook " + e.Type) {
		<-ctx.Done()
	}
	return nil
}

// queries are a Prometheus.
type queries struct{ w *world }

func (queries) Known(string) error { return nil }

func (q queries) Ask(ctx context.Context, _, _ string, _ time.Time) (float64, bool, string, error) {
	q.w.mu.Lock()
	q.w.asked++
	asks := q.w.asks
	q.w.mu.Unlock()
	return asks(ctx)
}

// traffic counts what the origins of a world do.
type traffic struct{ w *world }

func (t traffic) Watch(service string, _ []string, origins ...string) Watch {
	t.w.change(func() { t.w.watches++; t.w.made++ })
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
		if x.w.mute {
			share = 0
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

func (x *watch) Reporting(time.Time) (int, int) {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	if x.w.mute {
		return 0, 2
	}
	return 2, 0
}

func (x *watch) Changed() <-chan struct{} { return nil }
func (x *watch) Close()                   { x.w.change(func() { x.w.watches-- }) }
