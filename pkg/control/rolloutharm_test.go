package control_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

func inTime(t *testing.T, d time.Duration, f func() error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return poll.Until(ctx, 20*time.Millisecond, func(context.Context) error { return f() })
}

func rolloutDocument(r *crossfadev1.Rollout) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: r}}
}

// splits sleeps when the engine's split is written.
type splits struct {
	store.Store
	late *lateStore
	on   func(store.Commit) bool
}

func (s *splits) Commit(ctx context.Context, c store.Commit) ([]*crossfadev1.Revision, bool, error) {
	if s.on != nil && s.on(c) {
		s.on = nil
		s.late.sleep()
	}
	return s.late.Commit(ctx, c)
}

// A step whose write was in doubt, came through and was taken back, is set after all.
func TestAStepInDoubtIsSetAfterAll(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	late := newLate(w)
	w.store.Store = &splits{Store: late, late: late, on: func(c store.Commit) bool { return len(c.Writes) == 1 && c.Writes[0].Action == control.ActionSplit }}
	w.apply(0)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	<-late.arrived
	if err := inTime(t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); !strings.Contains(st.GetWaitingFor(), "the split: ") {
			return fmt.Errorf("%s: %s", st.GetState(), st.GetWaitingFor())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	late.wake()
	<-late.landed
	err := inTime(t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); st.GetState() != "AwaitingGate" {
			return fmt.Errorf("%s: %s", st.GetState(), st.GetWaitingFor())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A change that a proxy refuses is undone, also if a rollout came with it.
func TestARefusedApplyWithARolloutIsUndone(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	refuse := make(chan struct{})
	w.proxyThat("default", "p1", refuseVirtualHosts(refuse))
	close(refuse)
	doc := proto.CloneOf(orders(0).GetService())
	doc.Hosts, doc.Fleets = append(doc.Hosts, "other.test"), []string{"default", "other"} // that has no proxy, so the rollout waits
	r := rolloutDoc("r1")
	_, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}, rolloutDocument(r)}, control.Options{Who: "ann", Wait: crossfadev1.Wait_WAIT_ACKED})
	t.Log(err)
	if got, _, _ := w.Get("service", "orders"); len(got.GetService().GetHosts()) != 1 {
		t.Errorf("it stands: %v", got.GetService().GetHosts())
	}
}

// A new service with its rollout that a proxy refuses: what is left can be ended.
func TestARolloutOfAServiceThatWasUndone(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	slow, refuse := make(chan struct{}), make(chan struct{})
	close(refuse)
	w.proxyThat("default", "p1", func(r deltaclient.Response) deltaclient.Verdict {
		select {
		case <-slow: // after the rollout has begun its first step
			return refuseVirtualHosts(refuse)(r)
		default:
			return deltaclient.Verdict{}
		}
	})
	close(slow)
	doc := proto.CloneOf(orders(0).GetService())
	doc.Name, doc.Hosts = "pay", []string{"pay.test"}
	r := rolloutDoc("r1")
	r.Service = "pay"
	_, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}, rolloutDocument(r)}, control.Options{Who: "ann", Wait: crossfadev1.Wait_WAIT_ACKED})
	t.Log(err)
	_, _, gone := w.Get("service", "pay")
	st, _ := w.Rollout("r1")
	t.Log("service:", gone, "rollout:", st.GetState(), st.GetDrift())
	_, aborted := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"})
	_, deleted := w.Delete(t.Context(), "rollout", "r1", none())
	if aborted != nil && deleted != nil && !has(deleted, "unknown_rollout") {
		t.Errorf("abort: %v; delete: %v", aborted, deleted)
	}
}

// What another version wrote can be ended, so that the service is not blocked for ever.
func TestARolloutOfAnotherVersionCanBeEnded(t *testing.T) {
	dir := t.TempDir()
	w, _ := rolloutWorld(t, dir)
	w.apply(0)
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "Pending")
	w.Close()
	snapshot, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range snapshot.Objects {
		if r := o.Document.GetRollout(); r != nil {
			after := proto.CloneOf(r)
			after.Run.Walk = []byte(`{"version":2}`)
			if _, _, err := w.store.Commit(t.Context(), store.Commit{Time: time.Now(), Who: "newer", Stamp: "s", Writes: []store.Write{{Key: o.Key, After: rolloutDocument(after), Expect: o.Revision, Action: "rollout step"}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.stop()
	w, _ = rolloutWorld(t, dir)
	st, _ := w.Rollout("r1")
	t.Log(st.GetState(), st.GetWaitingFor())
	_, aborted := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"})
	_, _, again := w.StartRollout(t.Context(), nil, "r1", 0, control.Options{Who: "ann"})
	_, deleted := w.Delete(t.Context(), "rollout", "r1", control.Options{Force: true})
	if aborted != nil && again != nil && deleted != nil {
		t.Errorf("abort: %v\nstart again: %v\ndelete --force: %v", aborted, again, deleted)
	}
}

// An origin that was kept is removed by force, as the answer advises. After that the service can be changed without.
func TestAKeptOriginThatWasRemovedByForce(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	doc := orders(0).GetService()
	third := proto.CloneOf(doc.Origins[0])
	third.Name = "gke"
	doc.Origins = append(doc.Origins, third)
	w.applyAll(&crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: doc}})
	w.proxy()
	r := rolloutDoc("r1")
	r.Steps[1].Gate = nil
	w.startRollout(r)
	w.awaitRollout("r1", "Completed")
	if _, err := w.SetPrimary(t.Context(), "orders", "eks", none()); err != nil {
		t.Fatal(err)
	}
	doc = proto.CloneOf(doc)
	doc.Split, doc.Origins, doc.Primary = nil, doc.Origins[1:], "eks"
	docs := []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}}
	if _, err := w.Apply(t.Context(), docs, none()); !has(err, "origin_retained") {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), docs, control.Options{Force: true, Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		t.Fatal(err)
	}
	doc = proto.CloneOf(doc)
	doc.Timeouts = &crossfadev1.Timeouts{Request: durationpb.New(7 * time.Second)}
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}}, none()); err != nil {
		t.Errorf("a timeout: %v", err)
	}
	st, _ := w.Rollout("r1")
	t.Log(st.GetState(), st.GetRetained(), st.GetDrift())
}

// A proxy that refuses the split pauses the plan with an alarm, as the table says.
func TestARefusedSplitPauses(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	refuse := make(chan struct{})
	w.proxyThat("default", "p1", func(r deltaclient.Response) deltaclient.Verdict {
		select {
		case <-refuse:
			if r.Type == deltaclient.Runtime {
				return deltaclient.Verdict{Refuse: "no such layer"}
			}
		default:
		}
		return deltaclient.Verdict{}
	})
	close(refuse)
	w.startRollout(rolloutDoc("r1"))
	err := inTime(t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); st.GetState() != "Paused" {
			return fmt.Errorf("%s: %s", st.GetState(), st.GetWaitingFor())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A fleet that somebody rolled back stays so, or the start is refused or says so.
func TestAFleetThatIsRolledBack(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	doc := orders(0).GetService()
	doc.Fleets = []string{"default", "other"}
	w.applyAll(&crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: doc}})
	w.proxy()
	w.proxyThat("other", "p2", func(deltaclient.Response) deltaclient.Verdict { return deltaclient.Verdict{} })
	if _, err := w.Controller.Rollback(t.Context(), control.RollbackTarget{Service: "orders", Fleet: "other"}, none()); err != nil {
		t.Fatal(err)
	}
	got, _, _ := w.Get("service", "orders")
	t.Log("rolled back in", got.GetService().GetRolledBackIn())
	change, _, err := w.StartRollout(t.Context(), rolloutDoc("r1"), "", 0, control.Options{Who: "ann"})
	if err != nil || len(change.GetWarnings()) > 0 {
		return
	}
	w.awaitRollout("r1", "AwaitingGate")
	if got, _, _ := w.Get("service", "orders"); len(got.GetService().GetRolledBackIn()) == 0 {
		t.Error("the first step ended the rollback of fleet other, and nobody was told")
	}
}

// A server without rollouts, on a store that has one.
func TestAServerWithoutRollouts(t *testing.T) {
	dir := t.TempDir()
	w, _ := rolloutWorld(t, dir)
	w.apply(0)
	w.startRollout(rolloutDoc("r1"))
	w.stop()
	w = newWorld(t, dir)
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
		}
	}()
	_, err := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"})
	t.Log(err)
}
