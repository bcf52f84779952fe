package tracker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// written reads a file as "orders/eks from a: 1 2d", a line for each origin.
func written(t *testing.T, path string) string {
	t.Helper()
	records, err := readFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range records {
		lines = append(lines, r.Service+"/"+r.Origin+" from "+r.Source+": "+text(discovery.Seed(r.endpoints(), r.Looked).Endpoints()))
	}
	return strings.Join(lines, "\n")
}

// TestRestart: what was believed is there after a restart, whether the source works or not, and is doubted and replaced as if it had been
// told.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.json")
		tr := New(Config{File: path})
		s := newSource()
		for _, k := range []Key{orders, pay, {"search", "eks"}} {
			tr.Follow(k, "a", s.watch, nil)
		}
		at := time.Now()
		for range 3 { // one for each
			<-s.begun
		}
		tr.Forget(Key{"search", "eks"})
		a, b := newSource(), newSource()
		tr.Follow(orders, "b", a.watch, nil)
		tr.Follow(pay, "b", b.watch, nil)
		a.says("1 2 3 4d")
		a.says("3 4d")
		b.says("1 2")
		closed(t, tr)
		if got, want := written(t, path), "payments/eks from b: 1 2\norders/eks from b: 1 2 3 4d"; got != want {
			t.Fatalf("written %q, want %q", got, want)
		}

		time.Sleep(time.Hour)
		var log logged
		h := &heard{began: time.Now()}
		tr = New(Config{File: path, Changed: h.changed, Log: log.logger()})
		a, b = newSource(), newSource()
		expect(t, tr, orders, "", false)
		tr.Follow(orders, "b", a.watch, nil)
		expect(t, tr, orders, "1 2 3 4d", false)
		tr.Follow(pay, "c", b.watch, nil) // it has another source now
		expect(t, tr, pay, "1 2", false)
		a.says("!")
		synctest.Wait()
		if got := status(t, tr, orders); !got.Restored || got.Known || !got.Looked.Equal(at) || got.Err == nil || got.From != "b" || got.Endpoints[0].Zone != "a" {
			t.Errorf("while the source fails: %+v", got)
		}
		if got := status(t, tr, pay); !got.Restored || got.From != "b" || got.Source != "c" {
			t.Errorf("%+v", got)
		}
		h.takes()
		a.says("")
		b.says("")
		synctest.Wait()
		expect(t, tr, orders, "1h 2h 3h", true)
		expect(t, tr, pay, "1h 2h", true)
		if got := status(t, tr, orders); got.Restored || got.Held != 3 {
			t.Errorf("after an empty first look: %+v", got)
		}
		b.says("7")
		a.says("1 2 3")
		synctest.Wait()
		expect(t, tr, orders, "1 2 3", true)
		expect(t, tr, pay, "7", true)
		closed(t, tr)
		if got, want := written(t, path), "payments/eks from c: 7\norders/eks from b: 1 2 3"; got != want {
			t.Errorf("written %q, want %q", got, want)
		}
	})
}

// TestBeforeBeatsTheNote: what was in use in this process is newer than what the last one knew.
func TestBeforeBeatsTheNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.json")
		tr := New(Config{File: path})
		tr.Follow(orders, "a", newSource().watch, endpoints("1 2"))
		closed(t, tr)
		tr = New(Config{File: path})
		defer closed(t, tr)
		tr.Follow(orders, "a", newSource().watch, endpoints("3"))
		expect(t, tr, orders, "3", false)
		if status(t, tr, orders).Restored {
			t.Error("it says that it is restored")
		}
	})
}

// TestWhenItWrites: what has changed, at most once a second, and the age of all once a minute.
func TestWhenItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.json")
		tr := New(Config{File: path})
		s := newSource()
		tr.Follow(orders, "a", s.watch, nil)
		synctest.Wait()
		time.Sleep(Every)
		check := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := written(t, path); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		check("at first", "")
		s.says("1")
		check("at once", "orders/eks from a: 1")
		s.says("1 2")
		s.says("1 2 3")
		check("soon after", "orders/eks from a: 1")
		time.Sleep(Every - 1)
		check("not yet", "orders/eks from a: 1")
		time.Sleep(time.Nanosecond)
		check("a second later", "orders/eks from a: 1 2 3")

		looked := func() time.Time {
			r, err := readFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return r[0].Looked
		}
		before := looked()
		for range 10 {
			time.Sleep(5 * time.Second)
			s.says("1 2 3")
			synctest.Wait()
			if !looked().Equal(before) {
				t.Error("the time alone was written")
			}
		}
		time.Sleep(refresh)
		synctest.Wait()
		if looked().Equal(before) {
			t.Error("the time is not written in the end")
		}
		tr.Forget(orders)
		check("forgotten", "")
		tr.Follow(orders, "a", newSource().watch, nil)
		expect(t, tr, orders, "1 2 3", false) // soon after, by the same source
		closed(t, tr)
	})
}

// TestRegret: an origin that is followed again, soon and by the same source, has what it had. By another source, or later, it begins anew.
func TestRegret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{})
		for _, c := range []struct {
			source string
			after  time.Duration
			want   string
		}{{"a", regret - 1, "1 2"}, {"b", 0, ""}, {"a", regret, ""}} {
			first := newSource()
			tr.Follow(orders, "a", first.watch, nil)
			first.says("1 2")
			synctest.Wait()
			tr.Forget(orders)
			time.Sleep(c.after)
			tr.Follow(orders, c.source, newSource().watch, nil)
			expect(t, tr, orders, c.want, false)
			tr.Forget(orders)
			time.Sleep(regret)
		}
		closed(t, tr)
	})
}

// TestNotFollowedYet: what the note says of others is kept for a week, unless they are forgotten.
func TestNotFollowedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.json")
		tr := New(Config{File: path})
		tr.Follow(orders, "a", newSource().watch, endpoints("1"))
		tr.Follow(pay, "a", newSource().watch, endpoints("2"))
		closed(t, tr)
		time.Sleep(forget - time.Second)
		tr = New(Config{File: path})
		closed(t, tr)
		if got, want := written(t, path), "orders/eks from : 1\npayments/eks from : 2"; got != want {
			t.Errorf("after a short life: %q, want %q", got, want)
		}
		tr = New(Config{File: path})
		tr.Forget(pay)
		closed(t, tr)
		if got, want := written(t, path), "orders/eks from : 1"; got != want {
			t.Errorf("forgotten: %q, want %q", got, want)
		}
		time.Sleep(time.Second)
		tr = New(Config{File: path})
		closed(t, tr)
		if got := written(t, path); got != "" {
			t.Errorf("after a week: %q", got)
		}
	})
}

// TestFullDisk: looks go on, the file stays as it was, which is said once, and is written again when there is room.
func TestFullDisk(t *testing.T) {
	smalldisk.Run(t, func(t *testing.T, d smalldisk.Disk) {
		path := filepath.Join(d.Dir, "endpoints.json")
		var log logged
		n := newNote(path, log.logger())
		states := func(what string) []state {
			return []state{{head: record{Service: "orders", Origin: "eks"}, endpoints: discovery.Seed(endpoints(what), time.Now()).Endpoints(), owner: new(origin)}}
		}
		if err := n.save(states("1")); err != nil {
			t.Fatal(err)
		}
		d.Fill()
		for range 3 {
			if n.save(states("1 2")) == nil {
				t.Error("it was written")
			}
		}
		if said := log.takes(); strings.Count(said, "cannot be written") != 1 {
			t.Errorf("said %s", said)
		}
		if got := written(t, path); got != "orders/eks from : 1" {
			t.Errorf("on the full disk: %q", got)
		}
		if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
			t.Errorf("left behind: %v", err)
		}
		d.Release()
		if err := n.save(states("1 2")); err != nil || written(t, path) != "orders/eks from : 1 2" || !strings.Contains(log.takes(), "written again") {
			t.Errorf("with room again: %v, %q", err, written(t, path))
		}
	})
}

// TestNowhere: a file that cannot be written stops nothing, and is tried again.
func TestNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		dir := filepath.Join(t.TempDir(), "missing")
		path := filepath.Join(dir, "endpoints.json")
		tr := New(Config{File: path, Log: log.logger()})
		s := newSource()
		tr.Follow(orders, "a", s.watch, nil)
		s.says("1")
		time.Sleep(10 * Every)
		expect(t, tr, orders, "1", true)
		if got := log.takes(); strings.Count(got, "cannot be written") != 1 {
			t.Errorf("said %s", got)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Every)
		synctest.Wait()
		if got := written(t, path); got != "orders/eks from a: 1" || !strings.Contains(log.takes(), "written again") {
			t.Errorf("written %q", got)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if first, again := tr.Close(), tr.Close(); first == nil || again == nil {
			t.Error("Close does not say that the file was not written")
		}
	})
}
