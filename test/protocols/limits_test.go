package protocols

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	limit = time.Second
	// lateEnd is how much later than its limit a stream may end: over HTTP/1.1 Envoy waits a second for the client to close first.
	lateEnd = 3 * time.Second
	// earlyEnd is how much earlier: Envoy starts a timer at the time at which its event loop woke up, which is before the request was read.
	earlyEnd = 50 * time.Millisecond
)

// inTime is whether a stream has ended at its limit.
func inTime(took, limit time.Duration) bool { return limit-earlyEnd <= took && took <= limit+lateEnd }

// TestStreamsThatLiveTooLong: what timeouts.maxStreamDuration does to streams that are in use, by protocol. A call of gRPC whose answer has
// begun ends by whichever is first: the application, which is told the limit as the call's deadline, or Envoy, which can only reset it. One that is
// not answered yet has a status in any case.
func TestStreamsThatLiveTooLong(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, &crossfadev1.Timeouts{MaxStreamDuration: durationpb.New(limit)})
		w.ends(t, true, nil, map[string][]string{
			"WebSocket":              {"cut off"},
			"events over HTTP/1.1":   {"cut off"},
			"events over HTTP/2":     {"reset INTERNAL_ERROR"},
			"gRPC, both ways":        {"reset INTERNAL_ERROR", "DeadlineExceeded"},
			"gRPC, not answered yet": {"DeadlineExceeded max_duration", "DeadlineExceeded", "Unavailable connection_lost"},
		})
		if told := w.told(t); told <= 0 || told > limit {
			t.Errorf("the application was told a limit of %s, want %s", told, limit)
		}
	})
}

// TestQuietStreams: what timeouts.idle does to streams on which nothing is said, by protocol; and that a ping is something.
func TestQuietStreams(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, &crossfadev1.Timeouts{Idle: durationpb.New(limit)})
		pinged := make(chan error, 1)
		go func() { pinged <- w.pings(t.Context(), 4*limit) }()
		w.ends(t, false, nil, map[string][]string{
			"WebSocket":              {"cut off"},
			"events over HTTP/1.1":   {"cut off"},
			"events over HTTP/2":     {"reset INTERNAL_ERROR"},
			"gRPC, both ways":        {"reset INTERNAL_ERROR"},
			"gRPC, not answered yet": {"Unknown idle"},
		})
		if err := <-pinged; err != nil {
			t.Errorf("a WebSocket with pings: %v", err)
		}
	})
}

// TestIdleByDefault waits until a quiet WebSocket ends where the service says nothing: 60 s. In the short form it only sees that 5 s do not
// end it.
func TestIdleByDefault(t *testing.T) {
	w := newWorld(t, "", nil)
	wait := 5 * time.Second
	if run.full {
		wait = 2 * time.Minute
	}
	p := &peer{world: w, address: w.proxied(), host: overHTTP1 + ".test"}
	s, err := openSocket(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	began := time.Now()
	got := s.end(ctx)
	took := time.Since(began)
	switch {
	case !run.full && got != "still open":
		t.Errorf("%s after %s", got, took)
	case run.full && (got != "cut off" || !inTime(took, time.Minute)):
		t.Errorf("%s after %s, want the end after 60 s", got, took)
	}
}

// told is the deadline that an application is told of a call whose client has none; 0 is none.
func (w *world) told(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &peer{world: w, address: w.proxied(), host: overGRPC + ".test", id: "told"}
	conn, err := p.dialCalls()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun, _ := w.waiting.of(p.id)
	_, _ = testpb.NewTestServiceClient(conn).EmptyCall(metadata.AppendToOutgoingContext(ctx, "x-id", p.id), &testpb.Empty{}) // how it ends was looked at before
	select {
	case d := <-begun:
		return d
	case <-time.After(patience):
		t.Fatal("the call has not arrived")
		return 0
	}
}

// ends opens a stream of each protocol and compares how they end, and when: after a second but where limits say otherwise. busy keeps saying
// something meanwhile.
func (w *world) ends(t *testing.T, busy bool, limits map[string]time.Duration, want map[string][]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	var all sync.WaitGroup
	streams := w.open(ctx)
	for _, s := range streams {
		all.Go(func() {
			if busy {
				for poll.Pause(ctx, limit/10) == nil && time.Since(began) < limit/2 {
					if err := s.say(ctx); err != nil {
						t.Errorf("%s: %v", s.name, err)
					}
				}
			}
			got, took, after := s.end(ctx), time.Since(began), cmp.Or(limits[s.name], limit)
			if !slices.Contains(want[s.name], got) || !inTime(took, after) {
				t.Errorf("%s: %s after %s, want %s after %s", s.name, got, took, strings.Join(want[s.name], " or "), after)
			}
		})
	}
	all.Wait()
	if len(streams) != len(want) {
		t.Errorf("%d streams, want %d", len(streams), len(want))
	}
}

// pings keeps a WebSocket open by pings alone for a while.
func (w *world) pings(ctx context.Context, d time.Duration) error {
	p := &peer{world: w, address: w.proxied(), host: overHTTP1 + ".test"}
	ws, err := p.socket(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	ctx = ws.CloseRead(ctx)
	for until := time.Now().Add(d); time.Now().Before(until); {
		if err := ws.Ping(ctx); err != nil {
			return err
		}
		if err := poll.Pause(ctx, limit/4); err != nil {
			return err
		}
	}
	return nil
}
