package adstest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	loadstatsv3 "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

const (
	typeRoutes       = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	typeVirtualHosts = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
	typeEndpoints    = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	typeSecrets      = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
	typeRuntime      = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
)

// stream is what one Envoy wants and has. The server's lock guards it.
type stream struct {
	node  *corev3.Node
	types map[string]*subscription
	nonce int
}

// subscription is one type on one stream.
type subscription struct {
	names    map[string]bool   // asked for by name; empty: all
	sent     map[string]string // name → version
	accepted map[string]bool   // names acknowledged at least once
	pending  []string          // names of the response that waits for an answer
	nonce    string            // of that response; empty: none waits
	refused  map[string]string // name → version that was refused and is not sent again
}

type aggregated struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// DeltaAggregatedResources serves one Envoy until it leaves.
func (a aggregated) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	s := a.server
	st := &stream{types: map[string]*subscription{}}
	s.update(func() { s.streams[st] = struct{}{} })
	defer s.update(func() { delete(s.streams, st) })

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			req, err := g.Recv()
			if err != nil {
				return
			}
			s.update(func() { s.receive(st, req) })
		}
	}()
	for {
		s.mu.Lock()
		responses, changed := st.due(s), s.changed
		s.mu.Unlock()
		for _, r := range responses {
			if err := g.Send(r); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ended:
			return nil
		}
	}
}

// receive takes a subscription, an acknowledgement or a refusal.
func (s *Server) receive(st *stream, req *discoveryv3.DeltaDiscoveryRequest) {
	if req.Node != nil {
		st.node = req.Node
	}
	sub := st.types[req.TypeUrl]
	if sub == nil {
		sub = &subscription{names: map[string]bool{}, sent: map[string]string{}, accepted: map[string]bool{}, refused: map[string]string{}}
		st.types[req.TypeUrl] = sub
	}
	for _, n := range req.ResourceNamesSubscribe {
		sub.names[n] = true
		delete(sub.sent, n)
	}
	for _, n := range req.ResourceNamesUnsubscribe {
		delete(sub.names, n)
		delete(sub.sent, n)
	}
	if req.ResponseNonce == "" || req.ResponseNonce != sub.nonce {
		return
	}
	sub.nonce = ""
	for _, n := range sub.pending {
		if req.ErrorDetail == nil {
			sub.accepted[n] = true
		} else {
			sub.refused[n] = sub.sent[n]
		}
	}
	if req.ErrorDetail != nil {
		s.refused = append(s.refused, fmt.Sprintf("%s %v: %s", req.TypeUrl, sub.pending, req.ErrorDetail.Message))
	}
}

// due returns what can be sent now: at most one response of each type waits for its answer.
func (st *stream) due(s *Server) []*discoveryv3.DeltaDiscoveryResponse {
	var out []*discoveryv3.DeltaDiscoveryResponse
	types := make([]string, 0, len(st.types))
	for t := range st.types {
		types = append(types, t)
	}
	slices.Sort(types)
	for _, t := range types {
		sub := st.types[t]
		if sub.nonce != "" {
			continue
		}
		upserts, removals := st.missing(s, t)
		if len(upserts)+len(removals) == 0 {
			continue
		}
		st.nonce++
		resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: t, Nonce: fmt.Sprint(st.nonce), RemovedResources: removals}
		sub.pending = nil
		for _, r := range upserts {
			resp.Resources = append(resp.Resources, &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: r.Body})
			sub.sent[r.Name] = r.Version
			sub.pending = append(sub.pending, r.Name)
		}
		for _, n := range removals {
			delete(sub.sent, n)
		}
		sub.nonce = resp.Nonce
		out = append(out, resp)
	}
	return out
}

// missing compares what the Envoy was sent with what there is. A virtual host waits until its RouteConfiguration is acknowledged, as Envoy drops
// it otherwise; a layer that nobody set is empty, as Envoy waits for each.
func (st *stream) missing(s *Server, t string) (upserts []translate.Resource, removals []string) {
	sub := st.types[t]
	if t == typeRuntime {
		for n := range sub.names {
			if _, ok := sub.sent[n]; !ok && s.resources[t][n].Body == nil {
				upserts = append(upserts, translate.Layer(n, nil))
			}
		}
	}
	if t == typeSecrets {
		for n := range sub.names {
			if r, ok := translate.Secret(n); ok && sub.sent[n] != r.Version && sub.refused[n] != r.Version {
				upserts = append(upserts, r)
			}
		}
	}
	for n, r := range s.resources[t] {
		wanted := len(sub.names) == 0 || sub.names[n]
		if wanted && sub.sent[n] != r.Version && sub.refused[n] != r.Version && st.hasFrame(t, n) {
			upserts = append(upserts, r)
		}
	}
	for n := range sub.sent {
		if _, ok := s.resources[t][n]; !ok && t != typeRuntime && t != typeEndpoints && t != typeSecrets {
			removals = append(removals, n)
		}
	}
	slices.SortFunc(upserts, func(a, b translate.Resource) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(removals)
	return upserts, removals
}

func (st *stream) hasFrame(t, name string) bool {
	if t != typeVirtualHosts {
		return true
	}
	routes := st.types[typeRoutes]
	return routes != nil && routes.accepted[name[:strings.LastIndex(name, "/")]]
}

// settled tells whether nothing is due and nothing waits for an answer, and all virtual hosts have arrived.
func (st *stream) settled(s *Server) bool {
	for t, sub := range st.types {
		up, gone := st.missing(s, t)
		if sub.nonce != "" || len(up)+len(gone) > 0 {
			return false
		}
	}
	vhosts := st.types[typeVirtualHosts]
	for n := range s.resources[typeVirtualHosts] {
		if vhosts == nil || vhosts.sent[n] == "" {
			return false
		}
	}
	return true
}

// metricsService is OTLP's collector of metrics. Its generated package would bring an HTTP gateway; the request has the form of MetricsData.
var metricsService = grpc.ServiceDesc{
	ServiceName: "opentelemetry.proto.collector.metrics.v1.MetricsService",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(server any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		msg := &metricsv1.MetricsData{}
		if err := decode(msg); err != nil {
			return nil, err
		}
		s := server.(*Server)
		s.update(func() { s.reports = append(s.reports, msg) })
		return &emptypb.Empty{}, nil
	}}},
}

type loadStats struct {
	loadstatsv3.UnimplementedLoadReportingServiceServer
}

// StreamLoadStats asks for nothing and reads what comes.
func (loadStats) StreamLoadStats(g loadstatsv3.LoadReportingService_StreamLoadStatsServer) error {
	for {
		if _, err := g.Recv(); err != nil {
			return err
		}
	}
}
