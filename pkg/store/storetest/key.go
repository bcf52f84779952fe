package storetest

import (
	"errors"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// keyed is a commit with an idempotency key.
func keyed(key, digest string, at time.Time, ws ...store.Write) store.Commit {
	c := commitOf(ws...)
	c.IdempotencyKey, c.RequestDigest, c.Time = key, []byte(digest), at
	return c
}

// again commits and checks whether it was replayed.
func (e *env) again(c store.Commit, replayed bool) []*crossfadev1.Revision {
	e.Helper()
	known, used, err := e.s.Replay(e.Context(), c.IdempotencyKey, c.RequestDigest, c.Time)
	if err != nil || used != replayed {
		e.Fatalf("Replay: used %v, error %v; want %v", used, err, replayed)
	}
	rs, r, err := e.s.Commit(e.Context(), c)
	if err != nil || r != replayed {
		e.Fatalf("Commit: replayed %v, error %v; want replayed %v", r, err, replayed)
	}
	if used {
		e.equalAll(rs, known)
	}
	return rs
}

var keyTests = []test{
	{"replay", func(e *env) {
		a, b := service("a"), service("b")
		c := keyed("k", "d", now, put(a, 1, 0), put(b, 1, 0))
		first := e.again(c, false)
		e.commit(put(a, 2, 1))
		before := e.load()
		e.equalAll(first, e.again(c, true)) // the comparison of then does not hold any more, and does not matter
		c.Time = now.Add(24*time.Hour - time.Second)
		e.equalAll(first, e.again(c, true))
		e.same(before, e.load())
	}},
	{"another request with the same key", func(e *env) {
		c := keyed("k", "d", now, put(service("a"), 1, 0))
		e.again(c, false)
		before := e.load()
		for _, digest := range []string{"D", "", "dd"} {
			c.RequestDigest = []byte(digest)
			if _, _, err := e.s.Replay(e.Context(), c.IdempotencyKey, c.RequestDigest, c.Time); !errors.Is(err, store.ErrKeyReused) {
				e.Fatalf("Replay with digest %q: %v, want ErrKeyReused", digest, err)
			}
			if _, _, err := e.s.Commit(e.Context(), c); !errors.Is(err, store.ErrKeyReused) {
				e.Fatalf("digest %q: %v, want ErrKeyReused", digest, err)
			}
		}
		e.same(before, e.load())
	}},
	{"no key, no replay", func(e *env) {
		c := keyed("", "d", now, put(service("a"), 1, store.AnyRevision))
		e.again(c, false)
		e.again(c, false)
	}},
	{"a refused commit does not use its key", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		if _, _, err := e.s.Commit(e.Context(), keyed("k", "d", now, put(service("a"), 2, 0))); !errors.Is(err, store.ErrConflict) {
			e.Fatal(err)
		}
		e.again(keyed("k", "other", now, put(service("a"), 2, 1)), false)
	}},
	{"keys expire by the time of the commit", func(e *env) {
		at := func(d time.Duration, n int32) store.Commit {
			return keyed("k", fmt.Sprint(n), now.Add(d), put(service("a"), n, store.AnyRevision))
		}
		e.again(at(0, 1), false)
		if _, _, err := e.s.Commit(e.Context(), at(23*time.Hour, 2)); !errors.Is(err, store.ErrKeyReused) {
			e.Fatalf("within 24 h: %v", err)
		}
		e.numbers(numbers(e.again(at(25*time.Hour, 2), false)), 2)
		e.numbers(numbers(e.again(at(48*time.Hour, 2), true)), 2) // counted from its new use
		e.numbers(numbers(e.again(at(-time.Hour, 2), true)), 2)   // a clock that went back does not make it usable
		e.numbers(numbers(e.again(at(50*time.Hour, 3), false)), 3)
	}},
	{"many keys", func(e *env) {
		key := func(day, n int) store.Commit {
			return keyed(fmt.Sprintf("k%d-%d", day, n), "d", now.Add(time.Duration(day)*26*time.Hour), put(service("a"), int32(n), store.AnyRevision))
		}
		for day := range 3 {
			for n := range 40 {
				e.again(key(day, n), false)
			}
			for n := range 40 {
				e.numbers(numbers(e.again(key(day, n), true)), int64(day*40+n+1))
			}
		}
	}},
}
