package tracker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// TestChanged: the first change is told at once, those that withdraw an endpoint too, others together.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		tr := New(Config{Changed: h.changed})
		defer closed(t, tr)
		a, b, c := newSource(), newSource(), newSource()
		tr.Follow(Key{"a", "x"}, "s", a.watch, nil)
		tr.Follow(Key{"b", "x"}, "s", b.watch, nil)
		tr.Follow(Key{"c", "x"}, "s", c.watch, nil)
		a.says("1 2 3")
		synctest.Wait()
		time.Sleep(5 * time.Millisecond)
		c.says("1 2 3")
		b.says("1 2 3")
		b.says("1 2 3 4")
		time.Sleep(100 * time.Millisecond)
		h.expect(t, "0 a", "20 b c")

		a.says("1 2 3 4") // at 105
		synctest.Wait()
		b.says("1 2 3 4 5")
		synctest.Wait()
		time.Sleep(2 * time.Millisecond)
		c.says("1d 2 3")
		time.Sleep(2 * time.Millisecond)
		a.says("2 3 4")
		time.Sleep(2 * time.Millisecond)
		a.says("2 3 4 5")
		time.Sleep(100 * time.Millisecond)
		h.expect(t, "105 a", "107 b c", "109 a", "129 a")

		a.says("2 3 4 5") // nothing new
		a.says("5")       // held
		a.says("!")
		time.Sleep(100 * time.Millisecond)
		h.expect(t)
		if _, err := tr.Accept(Key{"a", "x"}, heldNow(tr, Key{"a", "x"})); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		h.expect(t, "311 a")
	})
}

// TestEmptyIsAChange: that there are known to be none is told, for before nobody could tell.
func TestEmptyIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		tr := New(Config{Changed: h.changed})
		defer closed(t, tr)
		s := newSource()
		tr.Follow(orders, "s", s.watch, nil)
		s.says("!")
		synctest.Wait()
		h.expect(t)
		s.says("")
		synctest.Wait()
		h.expect(t, "0 orders")
	})
}

// TestSlowReader: while Changed runs, changes are gathered, and nobody waits for it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now(), ran: make(chan struct{})}
		tr := New(Config{Changed: h.changed})
		a, b := newSource(), newSource()
		tr.Follow(Key{"a", "x"}, "s", a.watch, nil)
		tr.Follow(Key{"b", "x"}, "s", b.watch, nil)
		a.says("1 2 3")
		synctest.Wait()
		for i := range 100 {
			a.says(fmt.Sprintf("1 2 3 %d", i+4))
			b.says(fmt.Sprintf("1 2 3 %d", i+4))
		}
		b.says("1 2d 3")
		synctest.Wait()
		h.expect(t, "0 a")
		time.Sleep(time.Second)
		h.ran <- struct{}{}
		synctest.Wait()
		h.expect(t, "1000 a b")
		close(h.ran)
		closed(t, tr)
	})
}

// TestManyAtOnce: origins that begin together make few calls.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		tr := New(Config{Changed: h.changed})
		defer closed(t, tr)
		var all sync.WaitGroup
		for i := range 200 {
			s := newSource()
			tr.Follow(Key{fmt.Sprint(i), "x"}, "s", s.watch, nil)
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond / 10)
				s.says("1 2 3")
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		if got := h.takes(); len(got) > 3 {
			t.Errorf("%d calls: %q", len(got), got)
		}
	})
}

// TestStatusChanged hears of whatever people may want to see, but not of the time alone.
func TestStatusChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []Key
		tr := New(Config{StatusChanged: func(k Key) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, k)
		}})
		defer closed(t, tr)
		heard := func(what string, want ...Key) {
			t.Helper()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.SortFunc(got, compareKeys) // the first of several is told at once
			if !slices.Equal(got, want) {
				t.Errorf("%s: told %v, want %v", what, got, want)
			}
			got = nil
		}
		s, other, another := newSource(), newSource(), newSource()
		tr.Follow(pay, "a", other.watch, nil)
		heard("followed", pay)
		tr.Follow(orders, "a", s.watch, nil)
		heard("another", orders)
		for _, says := range []string{"!", "1 2 3", "1 2 3d", "!", "1 2 3d", "1 2d 3d", "3d"} {
			s.says(says)
			heard(says, orders)
			s.says(says)
			heard(says + " again")
		}
		for what, change := range map[string]func(*discovery.Look){
			"health":   func(l *discovery.Look) { l.Endpoints[0].Health = "HEALTHY" },
			"zone":     func(l *discovery.Look) { l.Endpoints[0].Zone = "b" },
			"metadata": func(l *discovery.Look) { l.Endpoints[0].Metadata = map[string]string{"task": "1"} },
			"error":    func(l *discovery.Look) { l.Err = errDown },
			"another":  func(l *discovery.Look) { l.Err = errors.New("worse") },
		} {
			l := look("3d")
			change(&l)
			s.looks <- l
			heard(what, orders)
			s.looks <- l
			heard(what + " again")
			s.says("3d")
			heard("as it was", orders)
		}
		other.says("1")
		s.says("!")
		heard("both", orders, pay)
		if _, err := tr.Accept(orders, heldNow(tr, orders)); err != nil {
			t.Error(err)
		}
		heard("accepted", orders)
		tr.Follow(orders, "b", another.watch, nil)
		heard("another source", orders)
		another.says("3d")
		heard("which is known now", orders)
		tr.Forget(orders)
		heard("forgotten", orders)
		tr.Forget(orders)
		heard("forgotten again")
	})
}
