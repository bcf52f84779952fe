package xds_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// A change of routes blocks the main thread of every Envoy for a while: all at once, a rollback would wait at all of them.
func TestAChangeOfRoutesIsTakenInTurns(t *testing.T) {
	f := deltaFixtureWith(t, xds.Options{TurnTime: time.Hour})
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	const proxies = 8
	_, at := f.gated(proxies)
	w := f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("new", map[string]int32{"ecs": 10000}, "ecs", "new"))
	var seen []string
	for len(seen) < proxies {
		f.await("a part of the fleet has its turn", func() bool { return len(at.inside()) == min(2, proxies-len(seen)) })
		// Meanwhile, levers reach everybody else.
		in := at.inside()
		f.rollback = true // so that the waiter asks for levers alone
		flip := f.flip(f.service("orders", map[string]int32{"eks": 10000 - int32(len(seen)), "ecs": int32(len(seen))}, "ecs", "eks"))
		f.await("levers", func() bool { return slices.Equal(flip.Pending(), in) })
		if now := at.inside(); !slices.Equal(now, in) {
			t.Fatalf("%v had a turn, and then %v", in, now)
		}
		for _, id := range in {
			if slices.Contains(seen, id) {
				t.Fatalf("%s has a second turn", id)
			}
		}
		seen = append(seen, in...)
		at.letOut(in)
	}
	f.acked(w)
}

// Whoever has answered and has more to take goes behind those that wait: else more than a part of the fleet is at it.
func TestANewTurnIsBehindThoseThatWait(t *testing.T) {
	f := deltaFixtureWith(t, xds.Options{TurnTime: time.Hour})
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	_, at := f.gated(8)
	f.apply(f.service("one", map[string]int32{"ecs": 10000}, "ecs", "new"))
	f.await("a part of the fleet has its turn", func() bool { return len(at.inside()) == 2 })
	first := at.inside()
	w := f.apply(f.service("two", map[string]int32{"ecs": 10000}, "ecs", "new"))
	f.rollback = true // so that the waiter asks for levers alone: while these are on their way, nobody asks for a turn
	flip := f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.await("levers", func() bool { return slices.Equal(flip.Pending(), first) })
	at.letOut(first)
	f.await("others have a turn", func() bool { return len(at.inside()) >= 2 })
	if in := at.inside(); len(in) != 2 || slices.Contains(in, first[0]) || slices.Contains(in, first[1]) {
		t.Errorf("after %v, %v have a turn", first, in)
	}
	at.open()
	f.acked(w)
}

// Whoever does not answer gives its turn back, and whoever leaves does so at once.
func TestATurnEnds(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	fleet, at := f.gated(4)
	w := f.apply(f.service("new", map[string]int32{"ecs": 10000}, "ecs", "new"))
	f.await("everybody has had a turn, though nobody answers", func() bool { return len(at.inside()) == len(fleet) })
	at.open()
	f.acked(w)

	at.close()
	w = f.apply(f.service("newer", map[string]int32{"ecs": 10000}, "ecs", "new"))
	f.await("one has a turn", func() bool { return len(at.inside()) > 0 })
	for _, p := range fleet[1:] {
		go p.end()
	}
	at.open()
	f.acked(w)
}

// gate holds back the answers of clients to virtual hosts while it is closed.
type gate struct {
	mu   sync.Mutex
	cond *sync.Cond
	shut bool
	in   map[string]bool
}

// gated starts so many clients that hold what there is, of service orders, and closes their gate.
func (f *fixture) gated(n int) ([]*simulated, *gate) {
	f.t.Helper()
	at := newGate()
	var fleet []*simulated
	for i := range n {
		id := fmt.Sprint("p", i)
		fleet = append(fleet, f.simulate(id, func(r deltaclient.Response) deltaclient.Verdict { return at.answer(id, r) }))
	}
	for _, p := range fleet {
		p.holds(nil, "orders")
	}
	f.t.Cleanup(at.open) // before the streams are waited for
	at.close()
	return fleet, at
}

func newGate() *gate {
	g := &gate{in: map[string]bool{}}
	g.cond = sync.NewCond(&g.mu)
	return g
}

func (g *gate) answer(id string, r deltaclient.Response) deltaclient.Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Type == deltaclient.VirtualHost && g.shut {
		g.in[id] = true
		for g.in[id] {
			g.cond.Wait()
		}
	}
	return deltaclient.Verdict{}
}

func (g *gate) inside() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for id := range g.in {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (g *gate) letOut(ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.in, id)
	}
	g.cond.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
	clear(g.in)
	g.cond.Broadcast()
}
