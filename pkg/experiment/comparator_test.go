package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// comparator is an instance that a test speaks for.
type comparator struct {
	w      *world
	name   string
	stream grpc.BidiStreamingClient[crossfadev1.WorkRequest, crossfadev1.WorkResponse]
	close  func()

	sequence int64
	always   func(*crossfadev1.RunCounts) // what it tells beside the tally
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
	} else {
		c.close()
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
	if c.always != nil {
		c.always(rc)
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
