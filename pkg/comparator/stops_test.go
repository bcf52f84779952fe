package comparator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestControlThatRefusesIsLeftAlone at once, without an order, until the server knows of it and says that the run goes on.
func TestControlThatRefusesIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, answersStatus(503), says("%q"), Limits{Spread: time.Minute})
	doc := document()
	doc.Stop = &crossfadev1.MirrorStop{ControlRefusals: 3}
	w.run(doc, nil)
	sent := uint64(0)
	w.await("for the server to hear of it", func() bool {
		w.get("/a")
		sent++
		c, _ := w.server.counts(w.key)
		return c.GetControlRefusals() >= 3
	})
	w.awaitCounted(sent) // none is under way
	asked := w.proxy.asked["shop/ecs@shadow"].Load()
	for range 20 {
		w.get("/a")
	}
	w.await("for the copies to be dropped", func() bool { return w.report().Dropped[dropLease] >= 20 })
	if got := w.proxy.asked["shop/ecs@shadow"].Load(); got != asked || got > 20 {
		t.Errorf("control was asked %d times, then %d", asked, got)
	}
}

func TestCandidatesErrorsStopIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), answersStatus(500), Limits{Spread: time.Minute})
	doc := document()
	doc.Stop = &crossfadev1.MirrorStop{CandidateErrors: 5}
	w.run(doc, nil)
	for range 20 {
		before := w.proxy.asked["shop/eks@shadow"].Load()
		w.get("/a")
		w.await("for it to be counted", func() bool {
			return w.proxy.asked["shop/eks@shadow"].Load() > before || before >= 5
		})
	}
	r := w.awaitCounted(20)
	if got := w.proxy.asked["shop/eks@shadow"].Load(); got < 5 || got > 12 || r.Dropped[dropLease] < 8 {
		t.Errorf("the candidate was asked %d times: %+v", got, r)
	}
}

// TestTheEndIsSoon: what hangs is given up and counted, and the server is told.
func TestTheEndIsSoon(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); hangs(w, r) })
	w := newWorld(t, hang, hang, Limits{Timeout: time.Minute})
	w.run(document(), func(o *crossfadev1.RunOrder) {})
	for range 10 {
		w.get("/a")
	}
	w.await("to be asked", func() bool { return asked.Load() == 20 })
	began := time.Now()
	w.end()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := w.report(); r.Dropped[dropCanceled] != 10 || !w.server.goodbye {
		t.Errorf("%+v, goodbye %t", r, w.server.goodbye)
	}
}

// TestTheEndWithoutAServer does not wait for it.
func TestTheEndWithoutAServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.server.stop()
	began := time.Now()
	w.end()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestMemoryIsBounded: what the budget has no room for is dropped, whatever comes at the same time, and all of it is given back.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	big := stream(8<<20, false)
	w := newWorld(t, big, big, Limits{Budget: 20 << 20, Spread: time.Minute})
	doc := document()
	doc.BodyCap = "4MiB"
	w.run(doc, nil)
	w.get("/a")
	w.awaitCounted(1)
	for range 40 {
		w.get("/a")
	}
	r := w.awaitCounted(41)
	if r.Dropped[dropBudget] == 0 || r.Compared == 0 {
		t.Errorf("%+v", r)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d MiB in use", m.HeapInuse>>20)
}

// TestAPanicInACopyIsCounted: net/http survives it, and the end would wait for the copy.
func TestAPanicInACopyIsCounted(t *testing.T) {
	t.Parallel()
	k := newComparator(Config{})
	r, err := newRun("m/r1", &crossfadev1.RunOrder{Mirror: document(), Key: hashKey}, 1)
	if err != nil {
		t.Fatal(err)
	}
	k.runs["m/r1"] = r
	for _, key := range []string{"m/r1", "m/r2"} {
		if !k.begin() {
			t.Fatal("it ends")
		}
		q := httptest.NewRequest("POST", "/a", http.NoBody)
		q.Header.Set(mirrorHeader, key)
		q.Body, q.ContentLength = panics{}, -1
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			k.take(q)
		}()
	}
	k.copies.Wait() // hangs if one is left
	if r.inFlight != 0 || r.asking != 0 || r.drops[dropPanic] != 1 || k.budget.used.Load() != 0 {
		t.Errorf("%d in flight, %v, %d bytes", r.inFlight, r.drops, k.budget.used.Load())
	}
}

type panics struct{ io.ReadCloser }

func (panics) Read([]byte) (int, error) { panic("a bug") }

// TestTheEndDoesNotWaitForACopyThatIsLost, and says goodbye all the same.
func TestTheEndDoesNotWaitForACopyThatIsLost(t *testing.T) {
	t.Parallel()
	k := newComparator(Config{Limits: Limits{Grace: 40 * time.Millisecond}})
	k.copies.Add(1)
	l := &link{comparator: k, leave: make(chan struct{}), left: make(chan struct{})}
	close(l.left)
	ended := make(chan struct{})
	go func() {
		k.end(&http.Server{}, func() {}, l, func() {})
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(deadline):
		t.Error("it does not end")
	}
	k.copies.Done()
}
