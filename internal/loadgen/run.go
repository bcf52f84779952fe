package loadgen

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// The errors of requests that were never sent.
var (
	errNoConnection = errors.New("not sent: every connection was busy until its time was up")
	errQueueFull    = errors.New("not sent: too many requests were waiting for a connection")
)

// job is a request that is due.
type job struct {
	i   uint64
	due time.Duration
	req Request
}

// client sends requests; it is used by one goroutine at a time.
type client interface {
	// do sends the request and reads the answer to its end, until the deadline.
	do(ctx context.Context, req Request, deadline time.Duration) (answer, error)
	// close closes its connection, if it has one; clients that share one all close it.
	close()
}

// answer is what of an answer is kept.
type answer struct {
	status int
	origin string
	grpc   string // grpc-status, if there is one
	sent   time.Duration
}

// Run is a running generator.
type Run struct {
	recorder
	cancel context.CancelFunc
	done   chan struct{}
}

// Start starts sending. The end of ctx, or [Run.Stop], stops the sending; requests in flight are still awaited.
func Start(ctx context.Context, c Config) (*Run, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{recorder: newRecorder(c), cancel: cancel, done: make(chan struct{})}
	jobs := make(chan job, queueLength(c))
	var workers sync.WaitGroup
	all := clients(c)
	for _, client := range all {
		workers.Go(func() {
			for j := range jobs {
				r.record(send(client, j, c.Timeout))
			}
		})
	}
	go func() {
		defer close(r.done)
		defer cancel()
		r.schedule(ctx, c, jobs)
		close(jobs)
		workers.Wait()
		for _, client := range all {
			client.close()
		}
		r.finish()
	}()
	return r, nil
}

// Do is [Start] and [Run.Wait].
func Do(ctx context.Context, c Config) (*Report, error) {
	r, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.Wait(), nil
}

// Stop stops the sending. It does not wait; it may be called more than once.
func (r *Run) Stop() { r.cancel() }

// Wait returns the report once every request has ended.
func (r *Run) Wait() *Report {
	<-r.done
	return r.Report()
}

// queueLength is how many requests may wait for a connection.
func queueLength(c Config) int {
	const most = 1 << 18
	if c.Queue > 0 {
		return min(most, c.Queue)
	}
	return min(most, c.InFlight+int(c.Rate*c.Timeout.Seconds()))
}

// clients makes one client for each request that may be in flight.
func clients(c Config) []client {
	out := make([]client, c.InFlight)
	if c.Protocol == HTTP1 {
		for i := range out {
			out[i] = &client1{target: c.Target}
		}
		return out
	}
	shared := make([]*conn2, c.Connections)
	for i := range shared {
		shared[i] = &conn2{target: c.Target}
	}
	for i := range out {
		out[i] = client2{conn: shared[i%len(shared)]}
	}
	return out
}

// schedule hands out requests when they are due.
func (r *Run) schedule(ctx context.Context, c Config, jobs chan<- job) {
	runtime.LockOSThread() // it sleeps in the kernel
	defer runtime.UnlockOSThread()
	start := r.start
	for i := uint64(0); c.Count == 0 || i < c.Count; i++ {
		after := time.Duration(float64(i) / c.Rate * float64(time.Second))
		if after >= c.Duration {
			return
		}
		if !sleepUntil(ctx, start+after) {
			return
		}
		j := job{i: i, due: start + after, req: c.Make(i)}
		r.scheduled()
		select {
		case jobs <- j:
		default:
			now := monotime.Now()
			r.record(Result{Index: i, Due: j.due, Sent: now, Done: now, Err: errQueueFull})
		}
	}
}

// sleepUntil sleeps; it returns false soon after ctx has ended.
func sleepUntil(ctx context.Context, t time.Duration) bool {
	const stride = 50 * time.Millisecond
	for {
		if ctx.Err() != nil {
			return false
		}
		now := monotime.Now()
		if now >= t {
			return true
		}
		monotime.SleepUntil(min(t, now+stride))
	}
}

// send sends one request and says what became of it.
func send(c client, j job, timeout time.Duration) Result {
	deadline := j.due + timeout
	now := monotime.Now()
	if now >= deadline {
		return Result{Index: j.i, Due: j.due, Sent: now, Done: now, Err: errNoConnection}
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline-now)
	defer cancel()
	a, err := c.do(ctx, j.req, deadline)
	res := Result{Index: j.i, Due: j.due, Sent: a.sent, Done: monotime.Now(), Status: a.status, Origin: a.origin, Err: err}
	if res.Sent == 0 {
		res.Sent = res.Done
	}
	if err == nil && a.grpc != "" && a.grpc != "0" {
		res.GRPCStatus = a.grpc
	}
	return res
}

// reason is a short text for an error, the same for all errors of its kind.
func (r Result) reason() string {
	switch {
	case r.Err != nil:
		return reasonOf(r.Err)
	case r.GRPCStatus != "":
		return "grpc-status " + r.GRPCStatus
	default:
		return fmt.Sprintf("status %d", r.Status)
	}
}
