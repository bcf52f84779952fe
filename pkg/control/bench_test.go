package control_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// newSized is a controller with so many services, over a real store.
func newSized(tb testing.TB, services int) *control.Controller {
	tb.Helper()
	dir := tb.TempDir()
	s, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(dir, "rollback.journal"))
	if err != nil {
		tb.Fatal(err)
	}
	fleets := xds.NewServer(xds.Options{})
	c := control.New(control.Config{Store: s, Journal: j, Fleets: fleets})
	tb.Cleanup(func() {
		c.Close()
		_ = j.Close()
		_ = s.Close()
	})
	if err := c.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	var docs []*crossfadev1.Document
	for i := range services {
		d := orders(0)
		d.GetService().Name, d.GetService().Hosts = fmt.Sprintf("service-%04d", i), []string{fmt.Sprintf("s%d.test", i)}
		docs = append(docs, d)
	}
	if _, err := c.Apply(tb.Context(), docs, noWait); err != nil {
		tb.Fatal(err)
	}
	for range 2 { // as the server does, once a second
		fleets.Fleet("default").Fold(0)
	}
	return c
}

var noWait = control.Options{Who: "bench", Wait: crossfadev1.Wait_WAIT_NONE}

// processorTime begins to count, and reports what the process used for each run: without what it waited for the disk or for a core.
func processorTime(b *testing.B) (report func()) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	runtime.GC()
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkSetSplit is the whole of a change of weights but for the proxies: planned, checked, made durable, published.
func BenchmarkSetSplit(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			c := newSized(b, n)
			b.ReportAllocs()
			defer processorTime(b)()
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("service-%04d", i%10*n/10)
				if _, err := c.SetSplit(b.Context(), name, map[string]int32{"eks": int32(1 + i%9000)}, noWait); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRollback is the same for a rollback, up to its being live; it is recorded beside it.
func BenchmarkRollback(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			c := newSized(b, n)
			b.ReportAllocs()
			defer processorTime(b)()
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("service-%04d", i%10*n/10)
				if _, err := c.Rollback(b.Context(), control.RollbackTarget{Service: name}, noWait); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAChangeOfWeightsCostsTheSame for 20 and for 2,000 services: the objects that it allocates within 20 %, and their bytes within 40 %, for the
// tree in the store is a level deeper. A copy of everything that is live would show.
func TestAChangeOfWeightsCostsTheSame(t *testing.T) {
	const changes = 200
	var objects, bytes []float64
	for _, n := range []int{20, 2000} {
		c := newSized(t, n)
		change := func(i int) {
			if _, err := c.SetSplit(t.Context(), fmt.Sprintf("service-%04d", i%10*n/10), map[string]int32{"eks": int32(1 + i)}, noWait); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			change(i)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range changes {
			change(1000 + i)
		}
		runtime.ReadMemStats(&after)
		objects, bytes = append(objects, float64(after.Mallocs-before.Mallocs)/changes), append(bytes, float64(after.TotalAlloc-before.TotalAlloc)/changes)
		t.Logf("%4d services: %.0f objects, %.0f bytes a change", n, objects[len(objects)-1], bytes[len(bytes)-1])
	}
	if objects[1] > 1.2*objects[0] || bytes[1] > 1.4*bytes[0] {
		t.Errorf("a change with 2,000 services allocates %.2f times the objects, %.2f times the bytes of one with 20", objects[1]/objects[0], bytes[1]/bytes[0])
	}
}
