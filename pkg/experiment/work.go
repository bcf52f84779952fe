package experiment

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Bounds of streams.
const (
	maxInstances = 256
	maxStreams   = 2 * maxInstances // with those that have not said hello
	helloWithin  = 10 * time.Second
)

var (
	errStopping = status.Error(codes.Unavailable, "the server stops; connect again")
	errReplaced = status.Error(codes.Aborted, "another stream has taken this one's place")
	errReread   = status.Error(codes.Unavailable, "what is kept could be read again; connect again and tell all")
	errSilent   = status.Error(codes.DeadlineExceeded, "no hello came")
)

// session is the stream of one instance.
type session struct {
	instance string
	address  netip.AddrPort
	wake     chan struct{} // holds one: orders are to be sent
	ended    chan struct{}
	err      error // why; set before ended is closed

	// Under the lock of the desk.
	heard    time.Time // its last word
	sequence int64     // of the last counts taken
	acked    int64     // of the last that outlive this process
	version  int       // of the addresses of proxies that it has
	sending  map[*run]float64
	tooMany  bool // it told of more runs than are taken
}

// stop ends a session; the first reason counts. The lock of the desk is held.
func (s *session) stop(err error) {
	if !s.over() {
		s.err = err
		close(s.ended)
	}
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *session) notify() { notify(s.wake) }

// silent says that nothing was heard of it for so long that its orders have run out, whatever was sent meanwhile.
func (d *Desk) silent(s *session, now time.Time) bool { return now.Sub(s.heard) > 2*d.c.Lease }

// Register adds the service to a server, which has to take messages of 16 MiB.
func (d *Desk) Register(r grpc.ServiceRegistrar) { crossfadev1.RegisterComparatorServiceServer(r, d) }

// Work serves one comparator. It is called by gRPC.
func (d *Desk) Work(stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse]) error {
	s := &session{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := d.admit(stream.Context()); err != nil {
		d.sayRefused(s, err)
		return err
	}
	if err := d.begin(s, stream); err != nil {
		return err
	}
	defer d.end(s)
	return d.send(s, stream)
}

// begin starts to listen, and waits for the hello.
func (d *Desk) begin(s *session, stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse]) error {
	hello := make(chan error, 1)
	d.mu.Lock()
	switch {
	case d.closed:
		d.mu.Unlock()
		return errStopping
	case d.streams >= maxStreams:
		d.mu.Unlock()
		return status.Errorf(codes.ResourceExhausted, "%d streams are open; no more are taken", maxStreams)
	}
	d.streams++
	d.work.Add(1)
	d.work.Go(func() { d.listen(s, stream, hello) }) // it ends when Work has returned
	d.mu.Unlock()
	late := time.NewTimer(helloWithin)
	defer late.Stop()
	var err error
	select {
	case err = <-hello:
	case <-late.C:
		err = errSilent
	case <-stream.Context().Done():
		err = status.FromContextError(stream.Context().Err()).Err()
	}
	if err != nil {
		d.end(s)
	}
	return err
}

// listen takes what an instance says, until the stream ends.
func (d *Desk) listen(s *session, stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse], hello chan<- error) {
	first, err := stream.Recv()
	if err == nil {
		err = d.greet(s, first.GetHello())
	}
	hello <- err
	for err == nil {
		var m *crossfadev1.WorkRequest
		if m, err = stream.Recv(); err != nil {
			break
		}
		c := m.GetCounts()
		if c == nil {
			err = refuse("only counts are taken after the hello")
			break
		}
		if err = d.take(s, c); err == nil && c.GetGoodbye() {
			d.leave(s)
			err = io.EOF
		}
	}
	d.sayRefused(s, err)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.stop(err)
}

// sayRefused says in the log that a message was refused, once a minute at most.
func (d *Desk) sayRefused(s *session, err error) {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.ResourceExhausted, codes.Unauthenticated:
	default:
		return
	}
	now := d.c.Now()
	d.mu.Lock()
	say := d.refused.IsZero() || now.Sub(d.refused) >= time.Minute
	if say {
		d.refused = now
	}
	d.mu.Unlock()
	if say {
		d.c.Log.Warn("what a comparator says is refused", "instance", s.instance, "error", err)
	}
}

// send sends orders whenever there is a reason.
func (d *Desk) send(s *session, stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse]) error {
	for {
		select {
		case <-s.ended:
			return s.err
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.wake:
		}
		orders := d.orders(s)
		if orders == nil {
			continue
		}
		if err := stream.Send(orders); err != nil {
			return err
		}
		d.sent(s)
	}
}

// end is the end of a stream.
func (d *Desk) end(s *session) {
	now := d.c.Now()
	d.mu.Lock()
	s.stop(nil)
	d.part(s, now, false)
	d.streams--
	d.mu.Unlock()
	d.work.Done()
}
