package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/mirror/beside"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// mirrored is a Crossfade on whose services everything is copied: live requests go to ecs, and eks gets copies alone.
type mirrored struct{ *world }

// leaseOfTests is how long comparators ask without orders, the shortest there may be.
const leaseOfTests = 5 * time.Second

// newMirrored starts one with services one (HTTP/1.1), two (HTTP/2) and rpc, without any experiment. more settings are lines of the file.
func newMirrored(t *testing.T, version, more string) mirrored {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "mirrors: {maxRps: 100000, lease: %s}\n%s", leaseOfTests, more), 0o600); err != nil {
		t.Fatal(err)
	}
	w := mirrored{newWorldOf(t, version, 1, func(c *stack.Config) { c.File = file })}
	for _, o := range []**origin.Origin{&w.ecs, &w.eks} { // the log is to tell what arrived
		exact, err := origin.Start(origin.Config{Name: (*o).Name(), Keep: 1 << 14})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(exact.Close)
		*o = exact
	}
	w.apply(w.service("one", "http1", 0), w.service("two", "http2", 0), w.service("rpc", "http2", 0))
	w.ready()
	return w
}

// experiment copies all requests of a service, whose name it has, and ends by nothing but a stop or a rollback.
func experiment(service string) *crossfadev1.Mirror {
	return &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: service, Service: service, Candidate: "eks", Share: 10000, MaxRps: 10000,
		AllowWrites: true, Methods: []string{"GET", "POST"}, GrpcMethods: []string{exact.Method}, OneBody: true,
		Learn: durationpb.New(0), Duration: durationpb.New(time.Hour),
		Stop: &crossfadev1.MirrorStop{CandidateErrors: 1_000_000, ControlRefusals: 1_000_000},
	}
}

func (w mirrored) start(services ...string) {
	w.t.Helper()
	for _, s := range services {
		if _, err := w.API.StartMirror(w.t.Context(), &crossfadev1.StartMirrorRequest{Mirror: experiment(s)}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w mirrored) place() beside.Place {
	return beside.Place{Server: func() int { return w.Server.PID }, Candidate: w.eks}
}

func (w mirrored) target() string { return fmt.Sprintf("%s:%d", w.Proxies[0].Host, w.port) }

// everything is requests of all sizes by all protocols. Of the largest, which take the longest, it is those of one protocol and one direction,
// another one for each n.
func (w mirrored) everything(n int) *exact.Load {
	all := exact.Everything(w.target(), map[exact.Protocol]string{exact.HTTP1: "one.test", exact.HTTP2: "two.test", exact.GRPC: "rpc.test"}, "ecs")
	isLargest := func(s exact.Stream) bool { return s.Bytes == 20<<20 }
	var largest []exact.Stream
	for _, s := range all {
		if isLargest(s) {
			largest = append(largest, s)
		}
	}
	return w.asking(append(slices.DeleteFunc(all, isLargest), largest[n%len(largest)]))
}

// small is small requests of service one, of several clients.
func (w mirrored) small(every time.Duration) *exact.Load {
	s := exact.Stream{Protocol: exact.HTTP1, Target: w.target(), Host: "one.test", Ask: exact.Ask{Bytes: 16}, Every: every, Timeout: 20 * time.Second}
	return w.asking(slices.Repeat([]exact.Stream{s}, 4))
}

func (w mirrored) asking(streams []exact.Stream) *exact.Load {
	l := exact.Start(w.t.Context(), streams)
	w.t.Cleanup(func() { l.Stop() })
	return l
}

// right ends a load, of so many requests at least, and fails the test if anything of it went wrong, or an Envoy has ended.
func (w mirrored) right(l *exact.Load, least uint64) exact.Sum {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	_ = poll.Until(ctx, 10*time.Millisecond, poll.True(func() bool { return l.Sum().Done >= least })) // the sum says what is missing
	sum := l.Stop()
	if sum.Bad() > 0 || sum.Done < least {
		w.t.Errorf("%v; want at least %d", sum, least)
	}
	for _, p := range w.Proxies {
		if err, ended := p.Exited(); ended {
			w.t.Errorf("%s has exited: %v", p.Binary, err)
		}
	}
	return sum
}

// copied waits until more copies have arrived at the candidate.
func (w mirrored) copied(more uint64) {
	w.t.Helper()
	want := w.eks.Total() + more
	w.await("copies at the candidate", func() bool { return w.eks.Total() >= want })
}

func (w mirrored) report(name string) *crossfadev1.MirrorReport {
	w.t.Helper()
	got, err := w.API.GetMirrorReport(w.t.Context(), &crossfadev1.GetMirrorReportRequest{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetReport()
}

// settled waits until counts come that are what they were, and holds their sum.
func (w mirrored) settled(name string) *crossfadev1.MirrorReport {
	w.t.Helper()
	last, same := w.report(name), 0
	w.await("the counts to settle", func() bool {
		r := w.report(name)
		if r.GetCounted().AsTime().Equal(last.GetCounted().AsTime()) {
			return false
		}
		if same++; r.GetMirrored() != last.GetMirrored() {
			same = 0
		}
		last = r
		return same >= 2
	})
	if n := asked(last) + dropped(last); n != last.GetMirrored() {
		w.t.Errorf("%d copies came, %d are accounted for: %v", last.GetMirrored(), n, last)
	}
	return last
}

// asked is how many copies were asked of both, and answered or not.
func asked(r *crossfadev1.MirrorReport) int64 {
	return r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed() + r.GetAnswered()
}

// dropped is how many were not; some of them after one side had been asked.
func dropped(r *crossfadev1.MirrorReport) (n int64) {
	for _, of := range r.GetDropped() {
		n += of
	}
	return n
}

// silent waits until no copy has arrived at the candidate for a while.
func (w mirrored) silent(d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for {
		total := w.eks.Total()
		one, stop := context.WithTimeout(ctx, d)
		err := w.eks.AwaitTotal(one, total+1)
		stop()
		switch {
		case ctx.Err() != nil:
			w.t.Fatalf("the candidate still gets copies: %d", w.eks.Total())
		case errors.Is(err, context.DeadlineExceeded):
			return
		}
	}
}

// alive tells a process that runs; one that has ended may still have a number.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}
