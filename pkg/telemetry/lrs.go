package telemetry

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
)

// How often a proxy reports loads. An empty list of clusters does not stop it from reporting, so off is once an hour.
const (
	roundLength = 250 * time.Millisecond
	roundOff    = time.Hour
)

// loadStream is the LRS stream of one proxy.
type loadStream struct {
	telemetry *Telemetry
	fleet     *fleet
	proxy     *proxy
	wake      chan struct{}

	// Guarded by the fleet.
	asked    map[string]time.Time // clusters of the last response, and no earlier than when their next report begins
	reported bool                 // since the last response
}

// registerLRS adds the load reporting service. The node is almost all of each message, and is read once.
func (t *Telemetry) registerLRS(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: loadstats.LoadReportingService_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "StreamLoadStats",
			Handler:       func(_ any, stream grpc.ServerStream) error { return t.streamLoadStats(stream) },
			ServerStreams: true,
			ClientStreams: true,
		}},
		Metadata: loadstats.LoadReportingService_ServiceDesc.Metadata,
	}, nil)
}

// streamLoadStats serves the stream of one proxy: this goroutine sends, another receives.
func (t *Telemetry) streamLoadStats(stream grpc.ServerStream) error {
	var m message
	if err := stream.RecvMsg(&m); err != nil {
		return t.ended(err)
	}
	n, err := readLoadNode(m.whole())
	m.free()
	if err != nil {
		return t.refuse(refusedMalformed, status.Errorf(codes.InvalidArgument, "load report: %v", err))
	}
	if err := t.admit(stream.Context(), n.fleet, n.id); err != nil {
		return t.refuse(refusedStranger, err)
	}
	f, p, err := t.enter(n.fleet, n.id)
	if err != nil {
		return t.refuse(refusedTooMany, err)
	}
	s := &loadStream{telemetry: t, fleet: f, proxy: p, wake: make(chan struct{}, 1)}
	f.account(p, nil, t.now()) // of an earlier stream
	p.load.Store(s)
	p.version = n.version
	for proof := range f.proofs {
		proof.tracker.at(p.id).version = n.version
	}
	t.attend(f, p)
	f.mu.Unlock()
	defer s.leave()

	ctx, cancel := context.WithCancelCause(stream.Context())
	go func() { cancel(s.receive(stream)) }()
	for {
		select {
		case <-ctx.Done():
			return t.ended(context.Cause(ctx))
		case <-s.wake:
		}
		if ask := s.next(t.now()); ask != nil {
			if err := stream.SendMsg(ask); err != nil {
				<-ctx.Done() // a stream that cannot send any more ends
				return err
			}
		}
	}
}

// receive takes messages until the stream ends.
func (s *loadStream) receive(stream grpc.ServerStream) error {
	for {
		var m message
		if err := stream.RecvMsg(&m); err != nil {
			return err
		}
		arrived := s.telemetry.now() // before it waits: what was on its way is told by it
		reports, err := s.read(stream.Context(), &m)
		if err != nil {
			return err
		}
		s.telemetry.counters.reports.Add(1)
		s.take(reports, arrived)
	}
}

// read decodes a message, in its turn, and gives its memory back. Of clusters that were not asked for nothing is: decoded, they would take many times the
// memory.
func (s *loadStream) read(ctx context.Context, m *message) (map[string]loadReport, error) {
	defer m.free()
	leave, err := s.telemetry.enterDecoders(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s.fleet.mu.Lock()
	asked := s.asked // is written to by take alone, in this goroutine
	s.fleet.mu.Unlock()
	reports, err := readLoadReports(m.whole(), func(cluster []byte) bool {
		_, ok := asked[string(cluster)]
		return ok
	})
	if err != nil {
		return nil, s.telemetry.refuse(refusedMalformed, status.Errorf(codes.InvalidArgument, "load report of proxy %q: %v", s.proxy.id, err))
	}
	return reports, nil
}

// ended is how a stream ends that a proxy closed, or whose connection broke.
func (t *Telemetry) ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// leave ends the part of a stream.
func (s *loadStream) leave() {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	if s.proxy.load.CompareAndSwap(s, nil) {
		s.fleet.account(s.proxy, nil, s.telemetry.now())
		s.telemetry.attend(s.fleet, s.proxy)
	}
}

// take gives a message's reports to the proofs and watches.
func (s *loadStream) take(reports map[string]loadReport, now time.Time) {
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	s.reported = true
	s.place(reports, now)
	for proof := range f.proofs {
		proof.loads(s.proxy, s.asked, reports, now)
	}
	if s.proxy.load.Load() == s {
		f.tapRound(s.proxy, reports, now)
	}
	s.telemetry.attend(f, s.proxy)
}

// clockSlack is what two monotonic clocks may differ by over one report.
const clockSlack = 2 * time.Millisecond

// place sets when each report began, at the earliest: the first when it was asked for, each further one at the end of the one before. What
// cannot have begun so late was on its way when its cluster was asked for again: it is dropped.
func (s *loadStream) place(reports map[string]loadReport, now time.Time) {
	for cluster, r := range reports {
		began, ok := s.asked[cluster]
		ends := began.Add(r.length)
		if !ok || r.length <= 0 || now.Before(ends.Add(-clockSlack)) {
			delete(reports, cluster)
			continue
		}
		r.notBefore = began
		reports[cluster] = r
		s.asked[cluster] = ends
	}
}

// next returns what to ask for now; nil if nothing new. While reports come, only the arrival of one is the time to ask for others: a proxy
// begins its interval anew with each response, so that asking more often would starve those that wait.
func (s *loadStream) next(now time.Time) *loadstats.LoadStatsResponse {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	if s.proxy.load.Load() == s {
		defer func() { s.fleet.account(s.proxy, s.asked, now) }()
	}
	want := s.clusters(now)
	if maps.EqualFunc(want, s.asked, func(_, _ time.Time) bool { return true }) || len(s.asked) > 0 && !s.reported {
		return nil
	}
	for cluster := range want {
		if began, ok := s.asked[cluster]; ok {
			want[cluster] = began
		}
	}
	s.asked, s.reported = want, false
	if len(want) == 0 {
		return &loadstats.LoadStatsResponse{LoadReportingInterval: durationpb.New(roundOff)}
	}
	return &loadstats.LoadStatsResponse{
		Clusters: slices.Sorted(maps.Keys(want)), LoadReportingInterval: durationpb.New(roundLength), ReportEndpointGranularity: true,
	}
}

// clusters are those of all changes and watches for which the proxy should report, with now as the time. If there is no room for all, those of
// changes come first, and the first origins of watches next.
func (s *loadStream) clusters(now time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	if s.proxy.load.Load() != s || !s.telemetry.lanes.has(s.proxy) {
		return out
	}
	for proof := range s.fleet.proofs {
		if !proof.wants(s.proxy, now) {
			continue
		}
		for _, cluster := range slices.Concat(proof.away, proof.toward) {
			if len(out) < maxClusters {
				out[cluster] = now
			}
		}
	}
	for _, first := range []bool{true, false} {
		for cluster, t := range s.fleet.taps {
			if len(out) < maxClusters && t.first() == first && !t.again() {
				out[cluster] = now
			}
		}
	}
	return out
}
