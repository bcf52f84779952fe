package statsim

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	loadsMethod  = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"

	exportTimeout = 10 * time.Second
	comeBack      = time.Second // after a stream of load reports broke
)

// Names of metadata in which a flush says whose it is; the bootstrap sets them.
const (
	proxyMetadata = "x-crossfade-proxy"
	fleetMetadata = "x-crossfade-fleet"
)

// buffers are of flushes, up to a megabyte each: few are sent at a time.
var buffers = sync.Pool{New: func() any { return &[]byte{} }}

// Sender sends the statistics of one proxy.
type Sender struct {
	id, fleet string
	node      Node
	meter     *Meter

	mu    sync.Mutex
	proxy *Proxy
}

// NewSender returns a sender of what a proxy counts; from now on it alone uses it. What it sends is told to the meter.
func NewSender(id, fleet string, node Node, p *Proxy, m *Meter) *Sender {
	return &Sender{id: id, fleet: fleet, node: node, proxy: p, meter: m}
}

// Serve changes the load from now on, see [Proxy.Serve].
func (s *Sender) Serve(loads []Load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxy.Serve(loads, time.Now())
}

// Flush sends a flush at first and then at every interval, until ctx ends. A flush that took longer than the interval makes the next ones late: they are
// made up for, one after the other, unlike an Envoy's, which would overlap.
func (s *Sender) Flush(ctx context.Context, conn grpc.ClientConnInterface, first time.Time, interval time.Duration) {
	for due := first; poll.Pause(ctx, time.Until(due)) == nil; due = due.Add(interval) {
		s.export(ctx, conn, due)
	}
}

// export sends one flush. What was begun is ended, so that it is known whether it was taken.
func (s *Sender) export(ctx context.Context, conn grpc.ClientConnInterface, due time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTimeout)
	defer cancel()
	buffer := buffers.Get().(*[]byte)
	s.mu.Lock()
	b, sent := s.proxy.Flush((*buffer)[:0], time.Now())
	s.mu.Unlock()
	var answer []byte
	err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, proxyMetadata, s.id, fleetMetadata, s.fleet), exportMethod, &b, &answer, grpc.ForceCodecV2(raw{}))
	s.meter.flushed(s.id, len(b), sent, time.Since(due), err)
	if err == nil { // else gRPC may still hold it
		*buffer = b
		buffers.Put(buffer)
	}
}

// Report serves the stream of load reports until ctx ends: it says who it is, and then reports what the server asks for.
func (s *Sender) Report(ctx context.Context, conn grpc.ClientConnInterface) {
	for ctx.Err() == nil {
		err := s.follow(ctx, conn)
		if ctx.Err() == nil {
			s.meter.broke(err)
			_ = poll.Pause(ctx, comeBack) // it ends only with ctx
		}
	}
}

// follow serves one stream.
func (s *Sender) follow(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, loadsMethod, grpc.ForceCodecV2(raw{}))
	if err != nil {
		return err
	}
	if err := s.send(stream, nil); err != nil {
		return err
	}
	questions := make(chan question)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	var broken error
	listening.Go(func() {
		defer close(questions)
		broken = listen(ctx, stream, questions)
	})
	asked := 0
	defer func() { s.meter.lane(asked, 0) }()
	var tick <-chan time.Time
	interval := time.Hour
	for {
		select {
		case q, ok := <-questions:
			if !ok {
				return broken
			}
			s.mu.Lock()
			s.proxy.Ask(q.clusters, time.Now())
			s.mu.Unlock()
			s.meter.lane(asked, len(q.clusters))
			asked, interval = len(q.clusters), q.interval
			tick = time.After(interval) // each response begins the interval anew
		case <-tick:
			s.mu.Lock()
			b, _ := s.proxy.Report(nil, time.Now())
			s.mu.Unlock()
			if err := s.send(stream, b); err != nil {
				return err
			}
			tick = time.After(interval)
		}
	}
}

// listen hands on what the server asks, until the stream ends.
func listen(ctx context.Context, stream grpc.ClientStream, questions chan<- question) error {
	for {
		var b []byte
		if err := stream.RecvMsg(&b); err != nil {
			return err
		}
		q, err := readQuestion(b)
		if err != nil {
			return err
		}
		select {
		case questions <- q:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send sends the node, which every message repeats, and reports.
func (s *Sender) send(stream grpc.ClientStream, reports []byte) error {
	b := append(s.node.Message(s.id, s.fleet), reports...)
	if err := stream.SendMsg(&b); err != nil {
		var end []byte
		if why := stream.RecvMsg(&end); why != nil { // SendMsg says only that it has ended
			err = why
		}
		return err
	}
	s.meter.reported(s.id, len(b), len(reports) > 0)
	return nil
}

// late says whether an export ended by its time.
func late(err error) bool {
	return status.Code(err) == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}
