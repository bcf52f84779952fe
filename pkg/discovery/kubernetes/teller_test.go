package kubernetes

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// seen is what there is to see from a moment on, in milliseconds; "1 2d" are endpoints 1 and 2, 2 draining, "!" is an error.
type seen struct {
	at   int
	what string
}

func lookAs(text string) discovery.Look {
	l := discovery.Look{}
	if text == "!" {
		l.Err = errUnknown
		return l
	}
	for word := range strings.FieldsSeq(text) {
		name, draining := strings.CutSuffix(word, "d")
		e := discovery.Endpoint{Address: netip.MustParseAddrPort("10.0.0." + name + ":80"), State: discovery.Ready}
		if draining {
			e.State = discovery.Draining
		}
		l.Endpoints = append(l.Endpoints, e)
	}
	return l
}

func TestGather(t *testing.T) {
	for name, tt := range map[string]struct{ see, want []seen }{
		"news are gathered":                    {[]seen{{0, "1 2 3"}, {10, "1 2 3 4"}, {49, "1 2 3 4 5"}}, []seen{{50, "1 2 3 4 5"}}},
		"what stops is told at once":           {[]seen{{0, "1 2 3d"}}, []seen{{0, "1 2 3d"}}},
		"and the rest later":                   {[]seen{{0, "1 2 3d"}, {10, "1 2"}}, []seen{{0, "1 2 3d"}, {50, "1 2"}}},
		"also while others are gathered":       {[]seen{{0, "1 2 3 4"}, {10, "1 2 3d 4"}}, []seen{{10, "1 2 3d 4"}}},
		"one after the other":                  {[]seen{{0, "1 2 3d"}, {10, "1 2d 3d"}, {20, "1 2d"}}, []seen{{0, "1 2 3d"}, {10, "1 2d 3d"}, {50, "1 2d"}}},
		"what was stopping may be gone":        {[]seen{{0, "1 2 3d"}, {10, "1 2d"}}, []seen{{0, "1 2 3d"}, {10, "1 2d"}}},
		"what appears draining is no hurry":    {[]seen{{0, "1 2 3 4d"}}, []seen{{50, "1 2 3 4d"}}},
		"what lacks one may be half of a move": {[]seen{{0, "1 2d"}, {10, "1 2d 3"}}, []seen{{10, "1 2d 3"}}},
		"what lacks one is told in the end":    {[]seen{{0, "1 2d"}}, []seen{{50, "1 2d"}}},
		"errors are no hurry":                  {[]seen{{0, "!"}}, []seen{{50, "!"}}},
		"after an error it is as before":       {[]seen{{0, "!"}, {60, "1 2 3d"}}, []seen{{50, "!"}, {60, "1 2 3d"}}},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testGather(t, tt.see, tt.want) }) })
	}
}

// testGather shows one thing after the other, after "1 2 3" was told.
func testGather(t *testing.T, see, want []seen) {
	began := time.Now()
	var got []seen
	now := func() int { return int(time.Since(began) / time.Millisecond) }
	news := make(chan struct{}, 1)
	var shown atomic.Pointer[string]
	w := &teller{settle: 50 * time.Millisecond, news: news, last: lookAs("1 2 3")}
	w.look = func() discovery.Look { return lookAs(*shown.Load()) }
	w.tell = func(l discovery.Look) {
		if got = append(got, seen{now(), *shown.Load()}); told(l) != told(lookAs(*shown.Load())) {
			t.Errorf("told %q", told(l))
		}
	}
	go func() {
		for _, s := range see {
			time.Sleep(time.Duration(s.at-now()) * time.Millisecond)
			shown.Store(&s.what)
			news <- struct{}{}
		}
		time.Sleep(time.Second)
		close(news)
	}()
	for range news {
		w.gather()
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// TestGatherEnds: nothing is told once the watch has ended.
func TestGatherEnds(t *testing.T) {
	ended := make(chan struct{})
	w := &teller{settle: time.Hour, tell: func(discovery.Look) { t.Error("told") }}
	w.look = func() discovery.Look { return lookAs("1d") }
	for i := range w.ended {
		w.ended, w.last = [2]<-chan struct{}{}, lookAs("1")
		w.ended[i] = ended
		if i == 0 {
			close(ended)
		}
		w.gather()
	}
}

// stoppingAtOnce: other news are gathered for a second.
func stoppingAtOnce(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("stopping")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1", "10.1.0.2"))
	c := as(s, kubetest.Admin)
	c.Settle = time.Second
	w := follow(t, open(t, c), orders(ns))
	w.await(ready("10.1.0.1", "10.1.0.2"))
	began := time.Now()
	replace(s, ns, slice("orders", "orders-a", "10.1.0.1", "10.1.0.2 draining"))
	if l := w.next(); told(l) != ready("10.1.0.1")+", 10.1.0.2:8080 draining a (serving, terminating)" || l.At.Sub(began) >= c.Settle {
		t.Errorf("told %q after %v", told(l), l.At.Sub(began))
	}
	replace(s, ns, slice("orders", "orders-a", "10.1.0.1", "10.1.0.3"))
	if l := w.next(); told(l) != ready("10.1.0.1", "10.1.0.3") || l.At.Sub(began) < c.Settle {
		t.Errorf("then told %q after %v", told(l), l.At.Sub(began))
	}
}
