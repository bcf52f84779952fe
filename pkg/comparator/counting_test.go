package comparator

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestEveryCopyIsCountedOnce: with all kinds of copies at the same time, the sum is exact, and so is what the origins were asked.
func TestEveryCopyIsCountedOnce(t *testing.T) {
	t.Parallel()
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/abort"):
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/401"):
			w.WriteHeader(http.StatusUnauthorized)
		}
		says(`{"path":%q}`).ServeHTTP(w, r)
	})
	w := newWorld(t, slow, slow, Limits{InFlight: 32, PerProxy: 24, Spread: time.Minute})
	doc := document()
	doc.Stop = &crossfadev1.MirrorStop{CandidateErrors: 100_000}
	half := int32(5000)
	doc.Noise.Share = &half
	doc.Methods, doc.AllowWrites = []string{"GET", "POST"}, true
	w.run(doc, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	kinds := map[string]func(*http.Request){
		"":            func(*http.Request) {},
		dropMalformed: func(r *http.Request) { r.Header.Set("x-cf-sent", "soon") },
		dropLoop:      func(r *http.Request) { r.Header.Add("x-shadow", "other") },
		dropStale:     func(r *http.Request) { r.Header.Set("x-cf-sent", "1700000000.000") },
		dropExcluded:  func(r *http.Request) { r.URL.Path = "/logout" },
		dropProxy:     func(r *http.Request) { r.Header.Set("x-cf-proxy", "p9") },
		dropTooLong: func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader(strings.Repeat("x", 300<<10))), 300<<10
		},
		"chunked": func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader(strings.Repeat("x", 300<<10))), -1
		},
		"body": func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader("{}")), 2
		},
		"abort": func(r *http.Request) { r.URL.Path = "/abort" },
		"401":   func(r *http.Request) { r.URL.Path = "/401" },
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for k := range kinds {
			if !yield(k) {
				return
			}
		}
	})
	const each, senders = 30, 8
	var all sync.WaitGroup
	for s := range senders {
		r := rand.New(rand.NewPCG(seed, uint64(s)))
		all.Go(func() {
			for i := range each * len(names) {
				q := w.copyOf("GET", fmt.Sprintf("/orders/%d", r.IntN(1000)), "")
				kinds[names[i%len(names)]](q)
				w.send(q)
			}
		})
	}
	all.Wait()
	n := uint64(each * senders)
	r := w.awaitCounted(n * uint64(len(names)))
	for _, reason := range []string{dropMalformed, dropLoop, dropStale, dropExcluded, dropProxy} {
		if r.Dropped[reason] != n {
			t.Errorf("%s: %d, want %d", reason, r.Dropped[reason], n)
		}
	}
	if r.Dropped[dropTooLong] != 2*n || r.Compared == 0 || r.TargetFailed == 0 || r.Unrepresentative == 0 {
		t.Errorf("%+v", r)
	}
	w.end()
	c, _ := w.server.counts(w.key)
	for target, told := range map[string]int64{"shop/ecs@shadow": c.GetAskedControl(), "shop/eks@shadow": c.GetAskedCandidate()} {
		if got := w.proxy.asked[target].Load(); got != told {
			t.Errorf("%s was asked %d times, told was %d", target, got, told)
		}
	}
	if c.GetInFlight() != 0 || mirrored(w.report()) != n*uint64(len(names)) {
		t.Errorf("at the end %d are in flight, %d counted", c.GetInFlight(), mirrored(w.report()))
	}
}

func TestCopiesThatBreakOffAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	doc := document()
	doc.Methods, doc.AllowWrites = []string{"POST"}, true
	w.run(doc, nil)
	for range 3 {
		c, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /a HTTP/1.1\r\nhost: x\r\nx-shadow: m\r\nx-cf-mirror: %s\r\nx-cf-proxy: p1\r\nx-cf-sent: 1700000000.000\r\ncontent-length: 1000\r\n\r\nabc", w.key)
		c.Close()
	}
	if r := w.awaitCounted(3); r.Dropped[dropCanceled] != 3 {
		t.Errorf("%+v", r)
	}
}

// TestRunsThatAreNotKnown: what comes before the order, and after the end, is counted as well, but asked for neither.
func TestRunsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.doc, w.key = document(), "m/r1"
	w.get("/early")
	w.run(document(), nil)
	w.get("/a")
	w.awaitCounted(2)
	w.server.order(func(o *crossfadev1.WorkResponse) { o.Runs = nil })
	w.await("for the run to end", func() bool {
		w.get("/late")
		return w.report().Dropped[dropLease] > 1
	})
	if got := w.proxy.asked["shop/eks@shadow"].Load(); got < 1 {
		t.Errorf("the candidate was asked %d times", got)
	}
	w.await("to be forgotten", func() bool { // then the counts are with the server, and it says no more of it
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return w.server.runs == 0
	})
}

func TestNobodyIsAskedWhileLearning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), func(o *crossfadev1.RunOrder) { o.Learning = true })
	for i := range 5 {
		w.get(fmt.Sprintf("/orders/%d", i))
	}
	w.get("/logout")
	if r := w.awaitCounted(6); r.Dropped[dropLearning] != 6 {
		t.Errorf("%+v", r)
	}
	c, _ := w.server.counts(w.key)
	if len(c.GetSeen()) != 2 || c.GetSeen()[0].GetEndpoint() != "/orders/{id}" || c.GetSeen()[0].GetCount() != 5 || c.GetSeen()[1].GetExcluded() == "" {
		t.Errorf("%v", c.GetSeen())
	}
	if n := w.proxy.asked["shop/eks@shadow"].Load() + w.proxy.asked["shop/ecs@shadow"].Load(); n != 0 {
		t.Errorf("%d were asked", n)
	}
}

// TestTheLeaseEnds: without orders asking stops, proxies are told, and counting goes on; with the server back, it all goes on, counted once.
func TestTheLeaseEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.server.order(func(o *crossfadev1.WorkResponse) { o.Lease = durationpb.New(2 * time.Second) })
	w.get("/a")
	w.awaitCounted(1)
	w.server.stop()
	w.await("for the lease to end", func() bool { return w.ready() == http.StatusServiceUnavailable })
	for range 5 {
		w.get("/a")
	}
	if n := w.proxy.asked["shop/eks@shadow"].Load(); n != 1 {
		t.Errorf("without a lease %d were asked", n-1)
	}
	w.server.listen(w.server.address)
	r := w.awaitCounted(6)
	if r.Compared != 1 || r.Dropped[dropLease] != 5 {
		t.Errorf("%+v", r)
	}
	w.await("to be ready", func() bool { return w.ready() == http.StatusOK })
	w.get("/a")
	if r := w.awaitCounted(7); r.Compared != 2 {
		t.Errorf("%+v", r)
	}
	if w.server.hellos < 2 {
		t.Error("the link was not made anew")
	}
}

// TestAServerThatFreezes is left after a while, and nothing is lost or counted twice when another answers.
func TestAServerThatFreezes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute, silence: 500 * time.Millisecond})
	w.run(document(), nil)
	w.get("/a")
	w.awaitCounted(1)
	w.server.order(func(*crossfadev1.WorkResponse) { w.server.mute = true })
	hellos := func() int {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return w.server.hellos
	}
	before := hellos()
	w.get("/a")
	w.await("for other tries", func() bool { return hellos() > before+1 })
	w.server.order(func(*crossfadev1.WorkResponse) { w.server.mute = false })
	w.get("/a")
	if r := w.awaitCounted(3); r.Compared != 3 {
		t.Errorf("%+v", r)
	}
}
