package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/diskfault"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// What a refused change says.
var notMade = []string{"could not be recorded, so it was not made", "a rollback works all the same"}

// TestFullDisk has the data directory on a small tmpfs that is full: see fullDisk.
func TestFullDisk(t *testing.T) {
	smalldisk.RunMounted(t, func(t *testing.T, d smalldisk.Disk) {
		w := newWorldOf(t, "", 2, func(c *stack.Config) { c.Data = filepath.Join(d.Dir, "data") })
		w.fullDisk(d.Fill, d.Release)
	})
}

// TestNoRoom is TestFullDisk for machines where nothing can be mounted: the kernel lets no file of the control plane grow.
func TestNoRoom(t *testing.T) {
	w, d := newWorldOnFaults(t)
	if w != nil {
		w.fullDisk(d.Fill, d.Release)
	}
}

// newWorldOnFaults starts a control plane whose disk can be broken; nil where the kernel does not let us.
func newWorldOnFaults(t *testing.T) (*world, *diskfault.Disk) {
	t.Helper()
	if err := diskfault.Supported(); err != nil {
		t.Logf("calls of another process cannot be held here (%v): the store's own tests stand alone", err)
		return nil, nil
	}
	d := diskfault.New(t, binary)
	self, err := d.Binary()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, "", 2, func(c *stack.Config) { c.Binary, c.Env = self, d.Env() })
	t.Cleanup(d.Release) // before the control plane is asked to end
	return w, d
}

// fullDisk fills the disk: every change is refused in clear words, while a rollback is applied and says that it is not recorded. It holds
// over kill -9, and is recorded by itself once there is room. Nothing that was answered is lost, nothing that was refused is there, and no request fails.
func (w *world) fullDisk(fill, release func()) {
	t := w.t
	docs := []*crossfadev1.Document{w.service("orders", "http1", 5000), w.service("spare", "http1", 0)}
	for i := range 10 {
		docs = append(docs, w.service(fmt.Sprintf("d%d", i), "http1", 0))
	}
	w.apply(docs...)
	w.ready()
	stop := w.load("orders", loadgen.HTTP1, 200)
	for n := range int32(30) { // so that the store's file has pages to use again, whatever a revision takes
		if _, err := w.setSplit(t.Context(), "orders", 3000+n); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	all := w.exhaust()
	w.refuse()

	w.ctl("rollback", "orders", "--reason", "5xx on eks").want(t, 11, "orders: 100% ecs", "2/2 proxies acknowledged", "NOT RECORDED")
	asked := w.eks.Total()
	w.ctl("split", "set", "orders", "eks=90%").want(t, 5, notMade...)
	if got := w.newest("orders"); got.GetAction() == "rollback" {
		t.Fatalf("recorded on a full disk: %v", got)
	}
	w.restart()
	if eks := w.share("orders"); eks != 0 {
		t.Fatalf("after kill -9, eks has %d basis points", eks)
	}
	w.ctl("split", "set", "orders", "eks=90%").want(t, 5, notMade...)
	w.ctl("rollback", "orders").want(t, 11, "2/2 proxies acknowledged", "NOT RECORDED")

	release()
	w.await("the rollbacks to be recorded", func() bool { return w.newest("orders").GetAction() == "rollback" })
	if n := w.eks.Total(); n != asked {
		t.Errorf("%d requests at eks since the rollback was answered", n-asked)
	}
	w.ctl("split", "set", "orders", "eks=25%").want(t, 0, "recorded")
	all = append(all, answered{service: "orders", revision: w.newest("orders").GetRevision(), eks: 2500})
	w.restart()
	if eks := w.share("orders"); eks != 2500 {
		t.Errorf("after the last restart, eks has %d basis points", eks)
	}
	w.checkAnswered(all, func(r *crossfadev1.Revision) {
		if r.GetAfter().GetService().GetSplit().GetWeights()["eks"] == 9000 {
			t.Errorf("a change that was refused is there: %v", r)
		}
	})
	noneFailed(t, stop(), 500)
}

// exhaust sets weights until that is refused five times in a row, which may take some: what is free in the file is still used.
func (w *world) exhaust() (all []answered) {
	w.t.Helper()
	refused := 0
	for n := int32(1); n < 2000; n++ {
		a, err := w.setSplit(w.t.Context(), "orders", n)
		if err == nil {
			all, refused = append(all, a), 0
		} else if refused++; refused == 5 {
			if len(all) == 0 {
				w.t.Fatal("refused from the start")
			}
			return all
		}
	}
	w.t.Fatal("the disk does not fill up")
	return nil
}

// refuse tries every kind of change until all are refused, one after the other.
func (w *world) refuse() {
	w.t.Helper()
	deleted, turned := 0, 0
	for round := range 40 {
		file := filepath.Join(w.t.TempDir(), "pay.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, payYAML, round, w.port, w.ecs.Addr(), w.eks.Addr()), 0o600); err != nil {
			w.t.Fatal(err)
		}
		refused := 0
		changes := [][]string{
			{"split", "set", "orders", fmt.Sprintf("eks=%d%%", 50+round)},
			{"pin", "add", "orders", fmt.Sprintf("p%d", round), "--origin", "eks", "--header", "x-pin=1"},
			{"undo", "orders"},
			{"apply", "-f", file},
			{"service", "set-primary", "spare", []string{"eks", "ecs"}[turned%2], "--force"},
			{"delete", "service", fmt.Sprintf("d%d", deleted)},
		}
		for _, args := range changes {
			switch s := w.ctl(args...); {
			case s.exit != 0:
				s.want(w.t, 5, notMade...)
				refused++
			case args[0] == "service":
				turned++
			case args[0] == "delete":
				deleted++
			}
		}
		if refused == len(changes) {
			return
		}
	}
	w.t.Fatal("some change is still taken")
}

const payYAML = `apiVersion: crossfade/v1
kind: Service
name: pay
hosts: [pay%d.test]
listener: {port: %d}
primary: ecs
origins:
  - {name: ecs, protocol: http1, static: {endpoints: [%q]}}
  - {name: eks, protocol: http1, static: {endpoints: [%q]}}
`

// TestHungDisk has fsync hang, at the first or the second one of a change: the change is refused in the end, those after it at once, and a rollback
// works as on a full disk. Afterwards the disk comes back, or the control plane is killed first: the rollback holds, and is recorded.
func TestHungDisk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spare int
		kill  bool
	}{
		{"comes back from the first", 0, false},
		{"comes back from the second", 1, false},
		{"killed in the first", 0, true},
		{"killed in the second", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, d := newWorldOnFaults(t)
			if w != nil {
				w.hungDisk(d, tt.spare, tt.kill)
			}
		})
	}
}

func (w *world) hungDisk(d *diskfault.Disk, spare int, kill bool) {
	t := w.t
	if _, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{
		Documents: []*crossfadev1.Document{w.service("orders", "http1", 5000)},
		Options:   &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE}, // so that nothing is noted in the store later
	}); err != nil {
		t.Fatal(err)
	}
	w.ready()
	stop := w.load("orders", loadgen.HTTP1, 200)
	d.Hang(spare)
	w.ctl("split", "set", "orders", "eks=90%").want(t, 5, append(notMade, "in doubt")...)
	if n := d.Hanging(); n != 1 {
		t.Fatalf("%d calls hang, want that of the store", n)
	}
	w.ctl("split", "set", "orders", "eks=80%").want(t, 5, notMade...)
	if eks := w.share("orders"); eks != 5000 {
		t.Fatalf("after two changes that were refused, eks has %d basis points", eks)
	}
	w.ctl("rollback", "orders").want(t, 11, "orders: 100% ecs", "2/2 proxies acknowledged", "NOT RECORDED")
	asked := w.eks.Total()
	if n := d.Hanging(); n != 2 {
		t.Fatalf("%d calls hang, want those of the store and of the journal", n)
	}
	if kill {
		w.KillServer()
	}
	d.Release()
	if kill {
		if err := w.RestartServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.back()
	}
	w.await("the rollback to be recorded", func() bool { return w.newest("orders").GetAction() == "rollback" })
	w.restart()
	if eks := w.share("orders"); eks != 0 || w.newest("orders").GetAction() != "rollback" {
		t.Errorf("in the end, eks has %d basis points, by %v", eks, w.newest("orders"))
	}
	if n := w.eks.Total(); n != asked {
		t.Errorf("%d requests at eks since the rollback was answered", n-asked)
	}
	noneFailed(t, stop(), 200)
}
