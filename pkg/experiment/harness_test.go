package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var began = time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)

// world is a desk with an owner, a clock that the test moves, and a server on loopback.
type world struct {
	t       *testing.T
	desk    *Desk
	address string
	log     *logged
	change  func(*Config)

	mu      sync.Mutex
	now     time.Time
	traffic Traffic
	proxies map[string]string
	ends    []string
}

// newWorld opens a desk; change may change its settings.
func newWorld(t *testing.T, dir string, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: began, log: &logged{}, change: change}
	w.open(dir)
	return w
}

func (w *world) open(dir string) {
	w.t.Helper()
	c := Config{
		Dir: dir, Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: w.time,
		End: func(mirror, run, why, detail string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ends = append(w.ends, strings.Join([]string{mirror, run, why, detail}, " "))
		},
		Traffic: func(string) Traffic { w.mu.Lock(); defer w.mu.Unlock(); return w.traffic },
		Proxies: func() map[string]string { w.mu.Lock(); defer w.mu.Unlock(); return w.proxies },
	}
	if w.change != nil {
		w.change(&c)
	}
	d := Open(c)
	w.desk = d
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = l.Addr().String()
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	d.Register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	w.t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			w.t.Error(err)
		}
	})
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass, with a tick each second.
func (w *world) pass(d time.Duration) {
	for end := w.time().Add(d); w.time().Before(end); {
		w.mu.Lock()
		w.now = earlier(w.now.Add(time.Second), end)
		w.mu.Unlock()
		w.desk.tick(w.time())
	}
}

// takeEnds returns of which runs the owner was told since the last call, when all calls are through.
func (w *world) takeEnds() []string {
	w.t.Helper()
	w.await(func() error {
		w.desk.mu.Lock()
		defer w.desk.mu.Unlock()
		for _, r := range w.desk.runs {
			if r.ending != nil && r.ending.calling {
				return errors.New("a call is under way")
			}
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.ends
	w.ends = nil
	return out
}

func (w *world) await(cond func() error) {
	w.t.Helper()
	await(w.t, cond)
}

func await(t testing.TB, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, func(context.Context) error { return cond() }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) report(name string) *crossfadev1.MirrorReport {
	w.t.Helper()
	r, ok := w.desk.Report(name)
	if !ok {
		w.t.Fatalf("no report of %s", name)
	}
	return r
}

// exact holds a report against its sum.
func exact(t testing.TB, r *crossfadev1.MirrorReport) {
	t.Helper()
	sum := r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed() + r.GetAnswered()
	for _, n := range r.GetDropped() {
		sum += n
	}
	if sum != r.GetMirrored() {
		t.Errorf("%d copies came, %d were counted", r.GetMirrored(), sum)
	}
}

// document returns one that runs since the test began.
func document(change func(*crossfadev1.Mirror)) *crossfadev1.Mirror {
	doc := &crossfadev1.Mirror{
		ApiVersion: policy.APIVersion, Kind: policy.KindMirror, Name: "try", Service: "orders", Control: "ecs", Candidate: "eks", Share: 1000, MaxRps: 100,
		Learn: durationpb.New(0), MinPairs: 10, Duration: durationpb.New(time.Hour),
	}
	if change != nil {
		change(doc)
	}
	if doc.GetRun() == nil {
		doc = policy.RunMirror(doc, "run-1", began)
	}
	return doc
}

func nowIs() *timestamppb.Timestamp { return timestamppb.New(time.Now()) }

func mirrorOf(t testing.TB, doc *crossfadev1.Mirror) Mirror {
	t.Helper()
	m, errs := policy.CompileMirror(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return Mirror{Doc: doc, Policy: m, Fleets: []string{"edge"}, Revision: 7}
}

// run lets one experiment run, and returns its document.
func (w *world) run(change func(*crossfadev1.Mirror)) *crossfadev1.Mirror {
	w.t.Helper()
	doc := document(change)
	w.desk.Set([]Mirror{mirrorOf(w.t, doc)})
	w.serves(1000)
	return doc
}

// serves lets so many live requests be answered, as a verdict needs it.
func (w *world) serves(n uint64) {
	w.desk.tick(w.time())
	w.mu.Lock()
	w.traffic.Classes[2] += n
	w.mu.Unlock()
	w.desk.tick(w.time())
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// takes returns the lines since the last call.
func (l *logged) takes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.b.String()
	l.b.Reset()
	return out
}

// members is what the owner was told last of who is at work.
type members struct {
	mu   sync.Mutex
	last string
	told int
}

func (s *members) addresses(all []netip.AddrPort) {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = strings.Join(words, " ")
	s.told++
}

func (s *members) await(t testing.TB, want string) {
	t.Helper()
	await(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last != want || s.told == 0 {
			return fmt.Errorf("told %q, want %q", s.last, want)
		}
		return nil
	})
}
