package main

import (
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// meter takes the times at which a server receives the acknowledgements of one resource. It sits between gRPC and the discovery server,
// whichever that is.
type meter struct {
	mu    sync.Mutex
	watch *watched
}

// watched is a resource on its way to all streams.
type watched struct {
	typeURL, name string
	everybody     bool // those that misbehave too
	left          int
	acks          []time.Time
	refused       int
	done          chan struct{}
}

// expect begins to follow a resource, until that many streams have answered: of all proxies, or of those that behave.
func (m *meter) expect(typeURL, name string, everybody bool, streams int) *watched {
	w := &watched{typeURL: typeURL, name: name, everybody: everybody, left: streams, acks: make([]time.Time, 0, streams), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = w
	return w
}

// stop ends the following, and says how many have not answered.
func (m *meter) stop(w *watched) (left int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = nil
	return w.left
}

// intercept puts the meter into every stream.
func (m *meter) intercept(service any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(service, &meteredStream{ServerStream: s, meter: m})
}

type meteredStream struct {
	grpc.ServerStream
	meter  *meter
	unruly bool // of the stream's reader alone

	mu    sync.Mutex
	of    *watched
	nonce string // of the response that carries the watched resource
}

// SendMsg notes the nonce under which the watched resource leaves.
func (s *meteredStream) SendMsg(m any) error {
	if r, ok := m.(response); ok {
		s.meter.mu.Lock()
		w := s.meter.watch
		s.meter.mu.Unlock()
		if w != nil && w.in(r) {
			s.mu.Lock()
			s.of, s.nonce = w, r.GetNonce()
			s.mu.Unlock()
		}
	}
	return s.ServerStream.SendMsg(m)
}

// response is a DeltaDiscoveryResponse, or what a server sends instead of a plain one.
type response interface {
	GetTypeUrl() string
	GetNonce() string
	GetResources() []*discoveryv3.Resource
}

func (w *watched) in(r response) bool {
	if r.GetTypeUrl() != w.typeURL {
		return false
	}
	for _, resource := range r.GetResources() {
		if resource.GetName() == w.name {
			return true
		}
	}
	return false
}

// RecvMsg takes the time when that nonce comes back.
func (s *meteredStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	r, ok := m.(*discoveryv3.DeltaDiscoveryRequest)
	if !ok {
		return nil
	}
	if r.GetNode() != nil { // only in the first
		s.unruly = isUnruly(r.GetNode().GetId())
	}
	if r.GetResponseNonce() == "" {
		return nil
	}
	now := time.Now()
	s.mu.Lock()
	w := s.of
	if w == nil || r.GetResponseNonce() != s.nonce {
		w = nil
	} else {
		s.of = nil
	}
	s.mu.Unlock()
	if w != nil && (w.everybody || !s.unruly) {
		s.meter.ack(w, now, r.GetErrorDetail() != nil)
	}
	return nil
}

func (m *meter) ack(w *watched, now time.Time, refused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if refused {
		w.refused++
	}
	w.acks = append(w.acks, now)
	if w.left--; w.left == 0 {
		close(w.done)
	}
}
