package experiment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

var began = time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)

// world is a desk with an owner, a clock that the test moves, and a server on loopback.
type world struct {
	t       *testing.T
	desk    *Desk
	address string
	log     *logged

	mu      sync.Mutex
	now     time.Time
	traffic Traffic
	proxies map[string]string
	ends    []string
	members []string
}

// newWorld opens a desk; change may change its settings.
func newWorld(t *testing.T, dir string, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: began, log: &logged{}}
	w.open(dir, change)
	return w
}

func (w *world) open(dir string, change func(*Config)) {
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
	if change != nil {
		change(&c)
	}
	d, err := Open(c)
	if err != nil {
		w.t.Fatal(err)
	}
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
		if err := <-served; err != nil {
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
	w.desk.tick(w.time())
	return doc
}

// comparator is an instance that a test speaks for.
type comparator struct {
	w      *world
	name   string
	stream grpc.BidiStreamingClient[crossfadev1.WorkRequest, crossfadev1.WorkResponse]
	close  func()

	sequence int64
	comparer *shadow.Comparer
	tally    *shadow.Tally

	mu     sync.Mutex
	orders *crossfadev1.WorkResponse // the last
	got    int
	err    error // of the stream
}

// connect starts an instance, or connects one again.
func (w *world) connect(name string, again *comparator) *comparator {
	w.t.Helper()
	c := again
	if c == nil {
		c = &comparator{name: name}
	}
	c.w, c.orders, c.err = w, nil, nil
	conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	c.stream, err = crossfadev1.NewComparatorServiceClient(conn).Work(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); c.read() }()
	c.close = sync.OnceFunc(func() { cancel(); conn.Close(); <-read })
	w.t.Cleanup(c.close)
	c.say(&crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Hello{Hello: &crossfadev1.ComparatorHello{
		Instance: name, Address: address(name), Version: "test",
	}}})
	w.await(func() error {
		if o, _ := c.last(); o == nil {
			return errors.New("no orders")
		}
		return nil
	})
	return c
}

// address is one of an instance: what follows a dash makes no difference.
func address(name string) string {
	host, _, _ := strings.Cut(name, "-")
	sum := 0
	for _, b := range []byte(host) {
		sum = (sum*31 + int(b)) % 60000
	}
	return fmt.Sprintf("127.0.0.1:%d", 1+sum)
}

func (c *comparator) read() {
	for {
		m, err := c.stream.Recv()
		c.mu.Lock()
		if c.err = err; err == nil {
			c.orders = m
			c.got++
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *comparator) last() (*crossfadev1.WorkResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.orders, c.err
}

func (c *comparator) say(m *crossfadev1.WorkRequest) {
	c.w.t.Helper()
	if err := c.stream.Send(m); err != nil {
		c.w.t.Fatal(err)
	}
}

// share waits until the order of a run has a share.
func (c *comparator) share(mirror string, want float64) {
	c.w.t.Helper()
	c.w.await(func() error {
		o, err := c.last()
		for _, r := range o.GetRuns() {
			if r.GetMirror().GetName() == mirror && r.GetMaxRps() == want {
				return nil
			}
		}
		return fmt.Errorf("%s has orders %v, %w; want %g", c.name, o.GetRuns(), err, want)
	})
}

// idle waits for orders to ask nobody.
func (c *comparator) idle() {
	c.w.t.Helper()
	c.w.await(func() error {
		if o, _ := c.last(); len(o.GetRuns()) > 0 {
			return errors.New("there are orders")
		}
		return nil
	})
}

// count judges and counts so many pairs, the last of which differ.
func (c *comparator) count(n, differ int) {
	c.w.t.Helper()
	c.makeTally()
	answer := func(status int, body string) *shadow.Answer {
		return &shadow.Answer{Status: status, Body: []byte(body), Length: int64(len(body)), Headers: map[string][]string{"Content-Type": {"text/plain"}}}
	}
	for i := range n {
		body := fmt.Sprintf("body %d", i)
		p := &shadow.Pair{Method: "GET", Path: fmt.Sprintf("/items/%d", i), Control: answer(200, body), Candidate: answer(200, body), Second: answer(200, body)}
		if i >= n-differ {
			p.Candidate = answer(500, "")
		}
		c.tally.Add(c.comparer.Judge(p, shadow.Live{}, nil), c.w.time())
	}
}

func (c *comparator) makeTally() {
	c.w.t.Helper()
	if c.tally != nil {
		return
	}
	o, _ := c.last()
	if len(o.GetRuns()) == 0 {
		c.w.t.Fatal("no orders")
	}
	m, errs := policy.CompileMirror(o.GetRuns()[0].GetMirror())
	if len(errs) > 0 {
		c.w.t.Fatal(errs)
	}
	options, errs := shadow.OptionsOf(m, o.GetRuns()[0].GetKey())
	if len(errs) > 0 {
		c.w.t.Fatal(errs)
	}
	c.comparer, errs = shadow.NewComparer(options)
	if len(errs) > 0 {
		c.w.t.Fatal(errs)
	}
	c.tally, errs = shadow.NewTally(options)
	if len(errs) > 0 {
		c.w.t.Fatal(errs)
	}
}

// tell tells the counts of a run as they are now.
func (c *comparator) tell(change func(*crossfadev1.RunCounts)) {
	c.w.t.Helper()
	c.sequence++
	c.say(counts(c.sequence, c.runCounts(change)))
}

func (c *comparator) runCounts(change func(*crossfadev1.RunCounts)) *crossfadev1.RunCounts {
	c.w.t.Helper()
	rc := &crossfadev1.RunCounts{Mirror: "try", Run: "run-1"}
	if c.tally != nil {
		raw, err := c.tally.Encode()
		if err != nil {
			c.w.t.Fatal(err)
		}
		rc.Tally = raw
	}
	if change != nil {
		change(rc)
	}
	return rc
}

func counts(sequence int64, runs ...*crossfadev1.RunCounts) *crossfadev1.WorkRequest {
	return &crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Counts{Counts: &crossfadev1.ComparatorCounts{Sequence: sequence, Runs: runs}}}
}

// taken waits until the desk has taken what was told.
func (c *comparator) taken() {
	c.w.t.Helper()
	c.w.await(func() error {
		c.w.desk.mu.Lock()
		defer c.w.desk.mu.Unlock()
		if s := c.w.desk.sessions[c.name]; s == nil || s.sequence != c.sequence {
			return errors.New("not taken")
		}
		return nil
	})
}

// goes says goodbye, or ends without a word.
func (c *comparator) goes(goodbye bool) {
	c.w.t.Helper()
	if goodbye {
		c.sequence++
		m := counts(c.sequence, c.runCounts(nil))
		m.GetCounts().Goodbye = true
		c.say(m)
		c.w.await(func() error {
			if _, err := c.last(); err == nil {
				return errors.New("the stream has not ended")
			}
			return nil
		})
	}
	c.close()
	c.w.await(func() error {
		c.w.desk.mu.Lock()
		defer c.w.desk.mu.Unlock()
		if c.w.desk.sessions[c.name] != nil {
			return errors.New("it is still there")
		}
		return nil
	})
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
