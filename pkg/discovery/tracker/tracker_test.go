package tracker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestFollow goes through what happens to one origin.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		tr := New(Config{Log: log.logger()})
		defer closed(t, tr)
		if _, ok := tr.Status(orders); ok {
			t.Error("there is a status before it is followed")
		}
		expect(t, tr, orders, "", false)
		s := newSource()
		tr.Follow(orders, "eks/shop/orders", s.watch, nil)
		expect(t, tr, orders, "", false)
		if got := status(t, tr, orders); got.Source != "eks/shop/orders" || got.From != "" || got.Known || got.Restored || got.Err != nil || got.Key != orders {
			t.Errorf("before it told anything: %+v", got)
		}
		step := func(says, want, logs string) Status {
			t.Helper()
			s.says(says)
			synctest.Wait()
			expect(t, tr, orders, want, true)
			if got := log.takes(); logs == "" && got != "" || !strings.Contains(got, logs) || strings.Count(got, "\n") > 1 {
				t.Errorf("after %q the log says %q, want %q", says, got, logs)
			}
			return status(t, tr, orders)
		}
		first := time.Now()
		if got := step("1 2 3", "1 2 3", "has told the first"); got.Ready != 3 || got.From != got.Source || !got.Looked.Equal(first) {
			t.Errorf("%+v", got)
		}
		step("1 2 3", "1 2 3", "")
		time.Sleep(time.Second)
		fails := time.Now()
		step("!", "1 2 3", "fails; what is known of them stays")
		time.Sleep(time.Second)
		if got := step("!", "1 2 3", ""); !errors.Is(got.Err, errDown) || !got.FailingSince.Equal(fails) || !got.Looked.Equal(first) {
			t.Errorf("%+v", got)
		}
		step("1 2 3 4d", "1 2 3 4d", "works again")
		held := time.Now()
		if got := step("3 4d", "1h 2h 3 4d", "too many at once to be believed"); got.Held != 2 || got.Ready != 1 || got.Draining != 1 || !got.HeldSince.Equal(held) {
			t.Errorf("%+v", got)
		}
		time.Sleep(5 * time.Second)
		step("3 4d", "1h 2h 3 4d", "")
		step("1 2 3 4d", "1 2 3 4d", "gone=0 back=2")
		step("3 4d", "1h 2h 3 4d", "too many")
		time.Sleep(10 * time.Second)
		step("3", "3", "gone=2 back=0")
		step("", "3h", "too many")
		if got, err := tr.Accept(orders, heldNow(tr, orders)); err != nil || text(got) != "3h" || log.takes() != "" {
			t.Errorf("accepted %v, %v", got, err)
		}
		step("", "", "")
		if got, err := tr.Accept(orders, heldNow(tr, orders)); err != nil || len(got) > 0 || log.takes() != "" {
			t.Errorf("accepted %v, %v", got, err)
		}
		tr.Forget(orders)
		expect(t, tr, orders, "", false)
		if _, err := tr.Accept(orders, heldNow(tr, orders)); err == nil || err.Error() != `origin "eks" of service "orders" has no endpoints that are discovered` {
			t.Error(err)
		}
	})
}

// TestAnotherSource: what an origin had stays until its new source names some.
func TestAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		tr := New(Config{Changed: h.changed})
		defer closed(t, tr)
		a, b, c := newSource(), newSource(), newSource()
		tr.Follow(orders, "a", a.watch, endpoints("7 8 9"))
		synctest.Wait()
		expect(t, tr, orders, "7 8 9", false)
		a.says("!")
		a.says("")
		synctest.Wait()
		expect(t, tr, orders, "7h 8h 9h", true)
		if got := status(t, tr, orders); got.From != "" || got.Source != "a" {
			t.Errorf("%+v", got)
		}
		a.says("1")
		synctest.Wait()
		expect(t, tr, orders, "1", true)
		h.expect(t, "0 orders", "0 orders")

		tr.Follow(orders, "a", b.watch, endpoints("7")) // the same one
		synctest.Wait()
		if len(b.begun) > 0 {
			t.Error("it was watched anew")
		}
		tr.Follow(orders, "b", b.watch, endpoints("7"))
		synctest.Wait()
		expect(t, tr, orders, "1", false)
		if got := status(t, tr, orders); got.From != "a" || got.Source != "b" {
			t.Errorf("%+v", got)
		}
		b.says("!")
		synctest.Wait()
		tr.Follow(orders, "a", c.watch, nil) // and back, before b named any
		synctest.Wait()
		if got := status(t, tr, orders); got.From != "a" || got.Source != "a" || got.Err != nil {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Second)
		c.says("2")
		synctest.Wait()
		expect(t, tr, orders, "2", true) // one may vanish
		h.expect(t, "1000 orders")
	})
}

// late is a source that tells a look when its watch is over, and takes its time.
func late(slow <-chan struct{}, ended *atomic.Bool) Watch {
	return func(ctx context.Context, tell func(discovery.Look)) error {
		<-ctx.Done()
		<-slow
		tell(look("1"))
		ended.Store(true)
		return ctx.Err()
	}
}

// TestForgetDuringALook: what a watch tells after its end counts for nothing, and nobody waits for it.
func TestForgetDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		tr := New(Config{Changed: h.changed})
		defer closed(t, tr)
		var ended atomic.Bool
		slow, b := make(chan struct{}), newSource()
		tr.Follow(orders, "a", late(slow, &ended), nil)
		tr.Forget(orders)
		tr.Follow(orders, "a", late(slow, &ended), nil)
		tr.Follow(orders, "b", b.watch, nil)
		b.says("2")
		close(slow)
		synctest.Wait()
		if expect(t, tr, orders, "2", true); !ended.Load() {
			t.Error("what does this test test?")
		}
		h.expect(t, "0 orders")
	})
}

// TestClose waits for watches, and what is believed can still be asked.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{})
		var ended atomic.Bool
		slow, b := make(chan struct{}), newSource()
		tr.Follow(pay, "a", late(slow, &ended), nil)
		tr.Follow(orders, "b", b.watch, nil)
		b.says("2")
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(slow) })
		closed(t, tr)
		if !ended.Load() {
			t.Error("Close did not wait")
		}
		closed(t, tr)
		tr.Follow(Key{"search", "eks"}, "a", b.watch, nil)
		if got := tr.Statuses(); len(got) != 2 || got[0].Key != orders || text(got[0].Endpoints) != "2" || got[0].Source != "b" {
			t.Errorf("after Close: %+v", got)
		}
	})
}

// TestEndedWatch: a watch that ends is a failure, and begun again, later each time.
func TestEndedWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{})
		defer closed(t, tr)
		s := newSource()
		tr.Follow(orders, "a", s.watch, nil)
		<-s.begun
		waits := func() time.Duration {
			began := time.Now()
			<-s.begun
			return time.Since(began)
		}
		for i, longest := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause, 16 * firstPause, 32 * firstPause, 64 * firstPause, longestPause, longestPause} {
			s.says("1 2")
			if i%2 == 0 {
				s.ends <- errDown
			} else {
				s.ends <- nil
			}
			synctest.Wait()
			got := status(t, tr, orders)
			if e := (*policy.Error)(nil); errors.Is(got.Err, errDown) != (i%2 == 0) || errors.As(got.Err, &e) != (i%2 == 1) || text(got.Endpoints) != "1 2" {
				t.Errorf("%+v", got)
			}
			if waited := waits(); waited < longest/2 || waited > longest {
				t.Errorf("%d: after %v, want at most %v", i, waited, longest)
			}
		}
		time.Sleep(longestPause)
		s.ends <- errDown
		if waited := waits(); waited > firstPause {
			t.Errorf("after a long life, it waited %v", waited)
		}
		s.ends <- errDown
	})
}

// TestErrorsOfThePolicy are handed on as such, however they are wrapped.
func TestErrorsOfThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{})
		defer closed(t, tr)
		refused := &policy.Error{Kind: policy.Unavailable, Code: "ecs_denied", Message: "no"}
		tr.Follow(orders, "a", func(context.Context, func(discovery.Look)) error { return errors.Join(errDown, refused) }, nil)
		tr.AwaitLook(t.Context(), orders)
		if got := status(t, tr, orders); !errors.Is(got.Err, refused) {
			t.Errorf("%v", got.Err)
		}
	})
}

func TestAwaitLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{})
		a, b, c := newSource(), newSource(), newSource()
		tr.AwaitLook(t.Context(), orders, pay) // not followed
		await := func(ctx context.Context, keys ...Key) <-chan struct{} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				tr.AwaitLook(ctx, keys...)
			}()
			return done
		}
		check := func(what string, done <-chan struct{}, want bool) {
			t.Helper()
			synctest.Wait()
			select {
			case <-done:
				if !want {
					t.Errorf("%s: it did not wait", what)
				}
			default:
				if want {
					t.Errorf("%s: it still waits", what)
				}
			}
		}
		tr.Follow(orders, "a", a.watch, nil)
		tr.Follow(pay, "b", b.watch, nil)
		done := await(t.Context(), orders, pay)
		check("at first", done, false)
		a.says("1")
		check("after one", done, false)
		b.says("!")
		check("after both", done, true)
		tr.AwaitLook(t.Context(), orders, pay)
		tr.Follow(orders, "c", c.watch, nil)
		done = await(t.Context(), orders)
		check("another source", done, false)
		tr.Follow(orders, "a", a.watch, nil)
		check("and another", done, false)
		a.says("1")
		check("that told", done, true)
		tr.Follow(orders, "c", c.watch, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ends, forgotten := await(ctx, orders), await(t.Context(), orders)
		cancel()
		check("the context ended", ends, true)
		tr.Forget(orders)
		check("it was forgotten", forgotten, true)
		tr.Follow(orders, "c", c.watch, nil)
		done = await(t.Context(), orders)
		check("followed again", done, false)
		closed(t, tr)
		check("closed", done, true)
	})
}

// TestStatuses are in order.
func TestStatuses(t *testing.T) {
	tr := New(Config{})
	defer closed(t, tr)
	for _, k := range []Key{{"b", "x"}, {"a", "y"}, {"c", "x"}, {"a", "x"}} {
		tr.Follow(k, "s", newSource().watch, nil)
	}
	var got []Key
	for _, s := range tr.Statuses() {
		got = append(got, s.Key)
	}
	if want := []Key{{"a", "x"}, {"a", "y"}, {"b", "x"}, {"c", "x"}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
