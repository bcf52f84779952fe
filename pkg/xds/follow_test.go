package xds

import (
	"fmt"
	"io"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// connected is a fleet, and a session of a proxy in it that reads and says nothing.
func connected(t *testing.T) (*Fleet, *session) {
	t.Helper()
	server := NewServer(Options{})
	s := newSession(server, "?", time.Now())
	s.out.send = func(any) error { return io.ErrClosedPipe }
	if err := s.take(request(0)); err != nil {
		t.Fatal(err)
	}
	return server.Fleet("default"), s
}

// stuck begins a publication that gets no further than to a session whose lock is held, and returns when it is there.
func stuck(t *testing.T, f *Fleet, u Update) (published chan *Waiter) {
	t.Helper()
	published = make(chan *Waiter, 1)
	go func() { published <- f.Publish(u) }()
	if err := poll.Until(t.Context(), time.Millisecond, poll.True(func() bool {
		f.waitMu.Lock()
		defer f.waitMu.Unlock()
		return len(f.waiters) > 0
	})); err != nil {
		t.Fatal(err)
	}
	return published
}

// A proxy that stepped while its fleet got a name, by a publication that was not there yet, was called ready with nothing.
func TestAFleetIsNamedByWhatItShouldHave(t *testing.T) {
	f, s := connected(t)
	for _, k := range []kind{clusters, listeners} {
		if err := s.take(&discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[k]}); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	published := stuck(t, f, Update{Revision: 1, Named: true})
	for s.pass(f.config.Load()) {
	}
	early := s.complete
	s.mu.Unlock()
	(<-published).Close()
	if early {
		t.Error("ready with nothing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.complete {
		t.Error("not ready with all that there is")
	}
}

// A stream that ended while a publication began made its waiter say that everybody has it.
func TestAStreamThatEndsConcludesNothingForOthers(t *testing.T) {
	f, s := connected(t)
	s.mu.Lock()
	published := stuck(t, f, Update{Revision: 1, Rollback: true})
	var w *Waiter
	f.waitMu.Lock()
	for w = range f.waiters {
		w.gone(newSession(f.server, "?", time.Now())) // which was removed from the fleet before
	}
	f.waitMu.Unlock()
	s.mu.Unlock()
	defer (<-published).Close()
	if pending := w.Pending(); len(pending) != 1 {
		t.Errorf("pending: %v", pending)
	}
	select {
	case <-w.Done():
		t.Error("done, and nobody has it")
	default:
	}
}

// Who refuses the same with each stream adds nothing.
func TestAWaiterKeepsEachRefusalOnce(t *testing.T) {
	f, _ := connected(t)
	w := f.Follow()
	defer w.Close()
	refuse := func(proxy string, resources ...string) {
		f.refusedUp(&Refusal{Proxy: proxy, Type: "Cluster", Resources: resources, seq: w.Seq(), changedIn: func(_, _ *config) bool { return true }})
	}
	for range 3 {
		refuse("p", "a")
		refuse("q", "a")
		refuse("p", "b")
	}
	if got := w.Refusals(); len(got) != 3 {
		t.Errorf("kept %d: %+v", len(got), got)
	}
	for i := range 2 * maxRefusals {
		refuse(fmt.Sprint("p", i), "a")
	}
	if got := w.Refusals(); len(got) != maxRefusals || got[0].Proxy != "p" {
		t.Errorf("kept %d, the first of %s", len(got), got[0].Proxy)
	}
}

// What a proxy acknowledged on a stream that it lost does not count: it may have come back as a new process.
func TestOnAnotherStreamAProxyIsBehind(t *testing.T) {
	f, s := connected(t)
	w := f.Follow()
	defer w.Close()
	s.mu.Lock()
	s.acked.seq = w.Seq() + 1
	f.ackedUp(s)
	s.mu.Unlock()
	if len(w.Acks()) != 1 {
		t.Fatalf("acknowledged by %v", w.Acks())
	}
	w.joined(s)
	if acks, pending := w.Acks(), w.Pending(); len(acks) > 0 || len(pending) != 1 {
		t.Errorf("acknowledged by %v, pending %v", acks, pending)
	}
}
