package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestMirrorHarmsNobody: whatever happens to the comparator and to the candidate while everything is copied, no request fails, is cut short or is
// answered wrong, and no Envoy ends.
func TestMirrorHarmsNobody(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newMirrored(t, version, "")
		w.start("one", "two", "rpc")
		for i, state := range w.place().States() {
			load := w.everything(i)
			w.copied(20)
			end, err := state.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pause(t, time.Second)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: %v", state, w.right(load, 30))
		}
	})
}

// TestUploadsWhileTheComparatorIsFrozen: an upload takes no part in the fate of its copy, also before the proxy has noticed that nobody reads it; what
// a copy could hold up is not copied at all.
func TestUploadsWhileTheComparatorIsFrozen(t *testing.T) {
	w := newMirrored(t, "", "")
	w.start("one")
	load := w.small(20 * time.Millisecond)
	w.copied(20)
	client := exact.New(exact.HTTP1, w.target(), "one.test")
	defer client.Close()
	upload := func(size int) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := client.Ask(ctx, exact.Ask{Bytes: size, Upload: true, Origin: "ecs"}); err != nil {
			t.Errorf("an upload of %d bytes: %v", size, err)
		}
	}
	for _, size := range []int{20 << 20, policy.MaxMirrorBody + 1, policy.MaxMirrorBody} {
		upload(size)
	}
	longest := func() (n int64) {
		for _, r := range w.eks.Requests() {
			n = max(n, r.BodyBytes)
		}
		return n
	}
	w.await("the copy of the last one", func() bool { return longest() >= policy.MaxMirrorBody })
	if n := longest(); n != policy.MaxMirrorBody {
		t.Errorf("an upload of %d bytes was copied", n)
	}
	if err := w.place().Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, size := range []int{0, 64 << 10, policy.MaxMirrorBody, 1 << 20, 5 << 20, 20 << 20} {
			upload(size)
		}
	}
	if err := w.place().Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.copied(20) // it is asked again
	w.right(load, 50)
}

// TestKilledComparatorLosesNoMoreThanItSays: after kill -9 the work goes on, and what the one that was killed had not told is within "lost".
func TestKilledComparatorLosesNoMoreThanItSays(t *testing.T) {
	w := newMirrored(t, "", "")
	w.start("one")
	load := w.small(10 * time.Millisecond)
	w.await("counts", func() bool { return w.report("one").GetCompared() > 0 })
	killed := w.place().Comparator()
	if err := w.place().Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.await("another comparator", func() bool { pid := w.place().Comparator(); return pid != 0 && pid != killed })
	before := w.report("one").GetMirrored()
	w.await("it to count", func() bool { return w.report("one").GetMirrored() > before })
	sum := w.right(load, 50)
	r := w.settled("one")
	if told := asked(r) + dropped(r) + r.GetLost(); r.GetLost() == 0 || r.GetMirrored() > int64(sum.Done) || int64(w.eks.Total()) > told {
		t.Errorf("%d requests, of which %d reached the candidate; told were %d, %d of them lost at most: %v", sum.Done, w.eks.Total(), told, r.GetLost(), r)
	}
}

// TestWithoutTheControlPlaneNobodyAsks: the comparator of a control plane that is killed ends with it.
func TestWithoutTheControlPlaneNobodyAsks(t *testing.T) {
	w := newMirrored(t, "", "")
	w.start("one")
	load := w.small(10 * time.Millisecond)
	w.copied(20)
	pid := w.place().Comparator()
	w.KillServer()
	w.await("the comparator to end", func() bool { return !alive(pid) })
	w.silent(time.Second)
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.copied(20) // the experiment goes on
	w.right(load, 50)
	w.settled("one")
}

// TestComparatorElsewhereStopsAfterItsLease: one that is no child notices by itself that nobody says any more what to do.
func TestComparatorElsewhereStopsAfterItsLease(t *testing.T) {
	w := newMirrored(t, "", "comparator-child: false\n")
	pid := w.comparatorElsewhere()
	w.start("one")
	load := w.small(10 * time.Millisecond)
	w.copied(20)
	w.KillServer()
	killed := origin.Now()
	w.silent(2 * time.Second)
	if last, _ := w.eks.Last(""); last-killed > leaseOfTests+5*time.Second {
		t.Errorf("the last copy arrived %v after the end of the control plane; the lease is %v", last-killed, leaseOfTests)
	}
	if !alive(pid) {
		t.Error("the comparator has ended as well, which shows nothing")
	}
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.copied(20)
	w.right(load, 50)
	if r := w.settled("one"); r.GetLost() > 0 || int64(w.eks.Total()) > asked(r)+dropped(r) {
		t.Errorf("the comparator was there all the time, %d reached the candidate: %v", w.eks.Total(), r)
	}
}

// comparatorElsewhere starts a comparator of its own role.
func (w mirrored) comparatorElsewhere() (pid int) {
	w.t.Helper()
	cmd := exec.Command(binary, "--role", "comparator", "--dev", "--server", w.Server.API, "--comparator-listen", "127.0.0.1:0",
		"--token-file", filepath.Join(w.Dir, "data", "comparator.token"))
	cmd.SysProcAttr = child.Attributes()
	ended := make(chan struct{})
	if err := child.Start(cmd, ended); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return cmd.Process.Pid
}

// TestRollbackEndsTheMirror: the call that brings live requests back stops copies as well, at the proxies, before anything is recorded.
func TestRollbackEndsTheMirror(t *testing.T) {
	w := newMirrored(t, "", "")
	if _, err := w.setSplit(t.Context(), "one", 5000); err != nil {
		t.Fatal(err)
	}
	w.start("one")
	load := w.small(5 * time.Millisecond)
	isCopy := func(r origin.Request) bool { return len(r.Get(policy.HeaderShadow)) > 0 }
	w.await("copies at the candidate", func() bool {
		r, ok := w.eks.LastRequest()
		return ok && isCopy(r)
	})
	got, err := w.API.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "one"})
	answered := origin.Now()
	if err != nil || got.GetChanges()[0].GetFleet().GetAcked() != 1 {
		t.Fatal(got, err)
	}
	w.silent(3 * time.Second)
	const underWay = 5 * time.Second // copies that had been made, generously
	for _, r := range w.eks.Requests() {
		if after := r.At - answered; isCopy(r) && after > underWay {
			t.Fatalf("a copy reached the candidate %v after the rollback", after)
		}
	}
	runtime, err := w.Proxies[0].Runtime(t.Context())
	if share := runtime[policy.MirrorKey("one", "one")]; err != nil || share != "" && share != "0" {
		t.Errorf("the share is %q at the proxy, %v", share, err)
	}
	w.await("the mirror to have ended", func() bool { return w.report("one").GetState() == "ended" })
	if why := w.report("one").GetRun().GetWhy(); why != "rolled_back" {
		t.Errorf("it ended because of %q", why)
	}
	w.right(load, 50)
}

// TestReportsSurviveARestart: what an experiment found is there after an orderly restart, and does not change any more.
func TestReportsSurviveARestart(t *testing.T) {
	w := newMirrored(t, "", "")
	w.start("one")
	load := w.small(10 * time.Millisecond)
	w.copied(100)
	w.right(load, 50)
	w.settled("one")
	if _, err := w.API.StopMirror(t.Context(), &crossfadev1.StopMirrorRequest{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	was := w.report("one")
	if err := syscall.Kill(w.Server.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.await("the end of the control plane", func() bool { return !alive(w.Server.PID) })
	w.KillServer() // it has ended; this only notes it
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	is := w.report("one")
	if is.GetState() != "ended" || is.GetRun().GetWhy() != "stopped" || is.GetCompared() == 0 || is.GetMirrored() != was.GetMirrored() || asked(is) != asked(was) ||
		len(is.GetDifferences()) != len(was.GetDifferences()) || is.GetVerdict() != was.GetVerdict() {
		t.Errorf("it was\n%v\nand is\n%v", was, is)
	}
}

// TestCanceledClientsAreCounted: clients that give up leave copies that may be whole or not; they harm nobody, and each is counted once.
func TestCanceledClientsAreCounted(t *testing.T) {
	w := newMirrored(t, "", "")
	w.start("one", "two")
	load := w.small(10 * time.Millisecond)
	w.copied(20)
	for i := range 100 {
		protocol, host := exact.HTTP1, "one.test"
		if i%2 == 0 {
			protocol, host = exact.HTTP2, "two.test"
		}
		client := exact.New(protocol, w.target(), host)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%10)*time.Millisecond)
		_ = client.Ask(ctx, exact.Ask{Bytes: policy.MaxMirrorBody, Upload: i%4 < 2})
		cancel()
		client.Close()
	}
	w.right(load, 50)
	for _, name := range []string{"one", "two"} {
		if r := w.settled(name); r.GetCompared() == 0 {
			t.Errorf("nothing was compared: %v", r)
		}
	}
	if w.place().Comparator() == 0 {
		t.Error("the comparator is down")
	}
}
