package telemetry

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Watches take the first half of the lanes, and give theirs to proofs that wait.
func TestWatchesGiveWayToProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{MaxFollowed: 2})
		var pipes []*pipe
		for _, id := range []string{"p1", "p2", "p3"} {
			p, end := proxyPipe(t, tel, id)
			defer end()
			pipes = append(pipes, p)
			busy(t, tel, id, "orders", "carts")
		}
		lanes := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, a := range tel.lanes.active {
				got = append(got, fmt.Sprint(a.proxy.id, " ", a.use))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: lanes of %q, want %q", what, got, want)
			}
		}
		w := tel.Watch("carts", []string{"default"}, "eks", "ecs")
		defer w.Close()
		lanes("a watch takes half", fmt.Sprint(tel.lanes.active[0].proxy.id, " 1"))
		first := tel.lanes.active[0].proxy.id
		proof := tel.Follow(changeOf("orders"))
		for _, id := range []string{"p1", "p2", "p3"} {
			if id != first {
				proof.Acked(id, time.Now())
			}
		}
		synctest.Wait()
		if tel.lanes.has(tel.fleet("default").proxies[first]) || len(tel.lanes.active) != 2 {
			t.Fatalf("%s keeps its lane while a proof waits", first)
		}
		proof.Close()
		synctest.Wait()
		if len(tel.lanes.active) != 1 || tel.lanes.active[0].use != watching {
			t.Fatalf("after the proof: %+v", tel.lanes.active)
		}
		w.Close()
		lanes("nobody wants any")
		for i, p := range pipes {
			if asked := p.asked(); len(asked) > 4 {
				t.Errorf("proxy %d was asked %q", i, asked)
			}
		}
	})
}

// Proofs and watches share the stream of a proxy.
func TestWatchesAndProofsShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders", "carts")
		w := tel.Watch("carts", []string{"default"}, "eks", "ecs")
		expect(t, "watched", p.asked(), "[carts/ecs carts/eks] 250ms")
		p.report(t, "carts")
		synctest.Wait()
		if got := w.Read(time.Now()); counts(got) != "0/0 0/9 " {
			t.Errorf("after a report: %s", counts(got))
		}
		proof := tel.Follow(changeOf("orders"))
		proof.Acked("p1", time.Now())
		p.report(t, "carts")
		expect(t, "a change as well", p.asked(), "[carts/ecs carts/eks orders/ecs orders/eks] 250ms")
		p.report(t, "carts", "orders")
		synctest.Wait()
		if s := proof.State(time.Now()); s.State != Proven {
			t.Errorf("%+v", s)
		}
		if got := w.Read(time.Now()); counts(got) != "0/0 0/18 " {
			t.Errorf("after two more: %s", counts(got))
		}
		proof.Close()
		expect(t, "the change is over", p.asked(), "[carts/ecs carts/eks] 250ms")
		w.Close()
		p.report(t, "carts")
		expect(t, "both are over", p.asked(), off)
	})
}

// A service that begins to be retried gives its lane up, and nothing counts twice.
func TestRetriedServicesHaveNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := false
		tel := New(Options{Retried: func(string) bool { return again }})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "carts")
		w := tel.Watch("carts", []string{"default"}, "ecs")
		defer w.Close()
		expect(t, "watched", p.asked(), "[carts/ecs] 250ms")
		p.report(t, "carts") // 9 requests
		synctest.Wait()
		again = true
		if got := w.Read(time.Now()); counts(got) != "0/9 " {
			t.Errorf("counted %s", counts(got))
		}
		expect(t, "retried", p.asked(), off)
		p.report(t, "carts") // 9 more, which nobody asked for
		<-time.After(2 * time.Second)
		busy(t, tel, "p1", "carts") // metrics have 9, which were counted
		busy(t, tel, "p1", "carts") // and the other 9, in one more message of the same flush
		<-time.After(2 * time.Second)
		busy(t, tel, "p1", "carts") // 9 new ones
		if got := w.Read(time.Now()); counts(got) != "0/18 " {
			t.Errorf("counted %s", counts(got))
		}
		if n := len(tel.fleet("default").proxies["p1"].ledgers); n != 0 {
			t.Errorf("%d ledgers are kept", n)
		}
	})
}

// BenchmarkWatches takes a flush of 20 busy clusters while other clusters are watched, and while its own are.
func BenchmarkWatches(b *testing.B) {
	for _, c := range []struct {
		name           string
		others, of     int
		proxies, lanes int
	}{{"none", 0, 0, 1000, 0}, {"200 others", 200, 0, 1000, 0}, {"200 others and these 20", 200, 20, 1000, 0}} {
		b.Run(c.name, func(b *testing.B) {
			now := testTime
			tel := New(Options{Now: func() time.Time { return now }})
			for i := range c.others {
				defer tel.Watch(fmt.Sprintf("other-%03d", i), []string{"default"}, "eks", "ecs").Close()
			}
			for i := range c.of {
				defer tel.Watch(fmt.Sprintf("service-%03d", i), []string{"default"}, "eks", "ecs").Close()
			}
			var fl flush
			raw := busyFlush(b, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(2 * time.Millisecond)
				f, p, err := tel.enter("default", fmt.Sprint("p", i%c.proxies))
				if err != nil {
					b.Fatal(err)
				}
				fl.reset(*f.index.Load())
				if err := fl.decode(raw); err != nil {
					b.Fatal(err)
				}
				if err := tel.resolve(&fl, true, now); err != nil {
					b.Fatal(err)
				}
				tel.take(f, p, &fl, now)
				f.mu.Unlock()
			}
		})
	}
}
