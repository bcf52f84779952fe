package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/diskfault"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// TestARolloutOnAFullDisk has the data directory on a small tmpfs that is full: see onAFullDisk.
func TestARolloutOnAFullDisk(t *testing.T) {
	smalldisk.RunMounted(t, func(t *testing.T, d smalldisk.Disk) {
		w, hooks := newRolloutWorld(t, "", 2, func(c *stack.Config) { c.Data = filepath.Join(d.Dir, "data") })
		w.onAFullDisk(hooks, d.Fill, d.Release)
	})
}

// TestARolloutWithoutRoom is the same where the kernel lets no file grow.
func TestARolloutWithoutRoom(t *testing.T) {
	t.Parallel()
	w, hooks, d := newRolloutWorldOnFaults(t)
	if w != nil {
		w.onAFullDisk(hooks, d.Fill, d.Release)
	}
}

// newRolloutWorldOnFaults is newRolloutWorld on a disk that can be broken; nil where the kernel does not let us.
func newRolloutWorldOnFaults(t *testing.T) (*world, *receiver, *diskfault.Disk) {
	t.Helper()
	if err := diskfault.Supported(); err != nil {
		t.Logf("calls of another process cannot be held here (%v)", err)
		return nil, nil, nil
	}
	d := diskfault.New(t, binary)
	self, err := d.Binary()
	if err != nil {
		t.Fatal(err)
	}
	w, hooks := newRolloutWorld(t, "", 2, func(c *stack.Config) { c.Binary, c.Env = self, d.Env() })
	t.Cleanup(d.Release) // before the control plane is asked to end
	return w, hooks, d
}

// onAFullDisk: no step goes on, while a failing guard sends everything back all the same. It is recorded when there is room, with the reason.
func (w *world) onAFullDisk(hooks *receiver, fill, release func()) {
	t := w.t
	w.apply(w.service("orders", "http1", 0)) // takes up what room there is
	a := w.newApp(t, "moving", hooks)
	q := a.ask(usualRate)
	st := a.start(a.doc(1000, 5000, 10000))
	a.bakes(1000)
	fill()
	refused := 0
	for n := int32(1); refused < 5; n++ {
		if _, err := w.setSplit(t.Context(), "orders", n); err != nil {
			refused++
		} else if refused = 0; n == 2000 {
			t.Fatal("the disk does not fill up")
		}
	}
	a.until("held by the store", func(st *crossfadev1.RolloutStatus) bool { // by saving that the step passed, or, if the bake was over before the disk was full, by the split
		return strings.Contains(st.GetWaitingFor(), "the store: ") || strings.Contains(st.GetWaitingFor(), "could not be recorded")
	})
	if err := poll.Pause(t.Context(), usualBake); err != nil { // in which a step could go on
		t.Fatal(err)
	}
	at := map[string]int32{"Baking": 1, "Progressing": 2}
	if st := a.status(); at[st.GetState()] != st.GetStep() || a.share(a.name) != 1000 {
		t.Fatalf("on a full disk it is %s at step %d, %d basis points: %s", st.GetState(), st.GetStep(), a.share(a.name), st.GetWaitingFor())
	}
	if err := a.act("ann", "pause"); err == nil || !strings.Contains(err.Error(), "could not be") {
		t.Errorf("a decision on a full disk: %v", err)
	}
	a.errors(a.eks, 0.3)
	a.await("everything to be back", func() bool { return a.share(a.name) == 0 })
	back := a.until("on its way back, in words", func(st *crossfadev1.RolloutStatus) bool {
		return strings.Contains(st.GetWaitingFor(), "goes back to ecs")
	})
	if back.GetState() == "RolledBack" || a.newest(a.name).GetAction() == "rollback" {
		t.Errorf("recorded on a full disk: %v", back)
	}
	total := a.eks.Total()
	a.left(total)
	w.KillServer()
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.back()
	if share := a.share(a.name); share != 0 {
		t.Fatalf("after kill -9 on a full disk eks has %d", share)
	}
	release()
	a.ended("RolledBack", 0)
	a.recorded(st.GetRun())
	a.once(st.GetRun(), "step-1/set 1000", "back 0")
	a.left(total)
	q.noneAtECS()
}

// TestKilledAtEachWrite kills the control plane at each fsync of a rollout's first step and of its rollback, one after the other: before and after each effect.
// It goes on with what is on the disk, and no effect comes twice.
func TestKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	w, hooks, d := newRolloutWorldOnFaults(t)
	if w == nil {
		return
	}
	for n := range 9 { // two each for: started, on its way, begun, set, baking; then the journal, and two each for: on the way back, rolled back, the end
		a := w.newApp(t, fmt.Sprintf("orders-%d", n), hooks)
		q := a.ask(usualRate)
		request := &crossfadev1.StartRolloutRequest{Rollout: long(a.doc(1000, 5000)), Options: by("ann")}
		request.Options.IdempotencyKey = a.name
		start := func(ctx context.Context) error {
			_, err := w.API.StartRollout(ctx, request)
			return err
		}
		d.Hang(n)
		w.killedHanging(d, start)
		if err := start(t.Context()); err != nil { // the same again: it may have been the first write
			t.Fatal(err)
		}
		run := a.bakes(1000).GetRun()
		a.once(run, "step-1/set 1000")
		d.Hang(n)
		w.killedHanging(d, func(context.Context) error { return a.eks.SetFaults(origin.Faults{ErrorShare: 1, Status: 500}) })
		a.ended("RolledBack", 0)
		total := a.eks.Total()
		a.once(run, "step-1/set 1000", "back 0")
		a.recorded(run)
		a.left(total)
		q.noneAtECS()
	}
}

// killedHanging does something, kills the control plane as soon as its disk hangs, and starts it again on a sound one.
func (w *world) killedHanging(d *diskfault.Disk, do func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	w.await("the disk to hang", func() bool { return d.Hanging() > 0 })
	w.KillServer()
	cancel()
	<-done
	d.Release()
	if err := w.RestartServer(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.back()
}

// hungFor is how long a disk hangs while a rollout has to go back.
const hungFor = 5 * time.Second

// TestARolloutOnAHungDisk: a failing guard sends everything back while no write returns, and what was decided is recorded afterwards.
func TestARolloutOnAHungDisk(t *testing.T) {
	t.Parallel()
	w, hooks, d := newRolloutWorldOnFaults(t)
	if w == nil {
		return
	}
	a := w.newApp(t, "orders", hooks)
	q := a.ask(usualRate)
	st := a.start(long(a.doc(1000, 5000)))
	a.bakes(1000)
	d.Hang(0)
	began := time.Now()
	a.errors(a.eks, 0.3)
	a.await("everything to be back", func() bool { return a.share(a.name) == 0 })
	if took := time.Since(began); took > hungFor {
		t.Logf("back only after %v", took)
	}
	w.back()
	a.more() // what was on its way arrives
	a.left(a.eks.Total())
	d.Release()
	a.ended("RolledBack", 0)
	a.recorded(st.GetRun())
	a.once(st.GetRun(), "step-1/set 1000", "back 0")
	q.noneAtECS()
}
