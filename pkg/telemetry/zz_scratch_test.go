package telemetry_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"

	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

type spy struct {
	grpc.ServerStream
	log func(string)
}

func (s spy) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if e, ok := m.(*emptypb.Empty); ok && err == nil {
		var r loadstats.LoadStatsRequest
		if proto.Unmarshal(e.ProtoReflect().GetUnknown(), &r) == nil {
			for _, c := range r.ClusterStats {
				var b strings.Builder
				for _, l := range c.UpstreamLocalityStats {
					fmt.Fprintf(&b, " [i%d s%d e%d o%d cx%d new%d fail%d", l.TotalIssuedRequests, l.TotalSuccessfulRequests, l.TotalErrorRequests, l.TotalRequestsInProgress, l.TotalActiveConnections, l.TotalNewConnections, l.TotalFailConnections)
					for _, ep := range l.UpstreamEndpointStats {
						fmt.Fprintf(&b, " {%d i%d s%d e%d o%d}", ep.Address.GetSocketAddress().GetPortValue(), ep.TotalIssuedRequests, ep.TotalSuccessfulRequests, ep.TotalErrorRequests, ep.TotalRequestsInProgress)
					}
					b.WriteString("]")
				}
				if b.Len() > 0 {
					s.log(fmt.Sprintf("   LRS %s %v drop %d%s", c.ClusterName, c.LoadReportInterval.AsDuration().Round(time.Millisecond), c.TotalDroppedRequests, b.String()))
				}
			}
		}
	}
	return err
}
func (s spy) SendMsg(m any) error {
	if r, ok := m.(*loadstats.LoadStatsResponse); ok {
		r.ReportEndpointGranularity = true
	}
	return s.ServerStream.SendMsg(m)
}

func TestScratch(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, protocol := range []string{"http1", "http2"} {
			t.Run(protocol, func(t *testing.T) { scratch(t, version, protocol) })
		}
	})
}

func scratch(t *testing.T, version, protocol string) {
	began := time.Now()
	logf := func(s string) { fmt.Printf("%6.2f %s\n", time.Since(began).Seconds(), s) }
	fmt.Println("=====", version, protocol)
	h := &house{t: t, telemetry: telemetry.New(telemetry.Options{}), protocol: protocol, port: envoytest.Port(t).Number()}
	server := xds.NewServer(xds.Options{OnConnect: h.telemetry.Connected})
	h.fleet = server.Fleet("default")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	g := grpc.NewServer(grpc.MaxRecvMsgSize(telemetry.MaxMessage), grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, hd grpc.StreamHandler) error {
		if strings.Contains(info.FullMethod, "LoadStats") {
			return hd(srv, spy{ss, logf})
		}
		return hd(srv, ss)
	}), grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, hd grpc.UnaryHandler) (any, error) {
		var d metricsv1.MetricsData
		_ = proto.Unmarshal(req.(*emptypb.Empty).ProtoReflect().GetUnknown(), &d)
		var b bytes.Buffer
		for _, r := range d.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, m := range s.Metrics {
					for _, p := range m.GetSum().GetDataPoints() {
						name := ""
						for _, a := range p.Attributes {
							name += " " + a.Value.GetStringValue()
						}
						if strings.HasPrefix(m.Name, "cluster") && p.GetAsInt() > 0 && strings.Contains(name, "orders/eks") {
							fmt.Fprintf(&b, " %s%s=%d", strings.TrimPrefix(m.Name, "cluster.upstream_"), strings.Replace(name, "orders/eks", "", 1), p.GetAsInt())
						}
					}
				}
			}
		}
		if b.Len() > 0 {
			logf("OTLP" + b.String())
		}
		return hd(ctx, req)
	}))
	server.Register(g)
	h.telemetry.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); serving.Wait() })
	h.ecs, h.eks = h.origin("ecs"), h.origin("eks")
	dead := envoytest.Port(t)
	h.edit = func(s *crossfadev1.Service) {
		s.Origins[1].GetStatic().Endpoints = []string{h.eks.Addr(), dead.Addr()}
	}
	h.apply(10000)
	p := h.proxy(version, "p1")
	proof := h.telemetry.Follow(telemetry.Change{Fleet: "default", Service: "orders", Away: []string{"eks"}, Toward: []string{"ecs"}, Called: time.Now()})
	defer proof.Close()
	proof.Acked("p1", time.Now())
	proof.Acked("p1", time.Now())
	<-time.After(500 * time.Millisecond)
	round := func(what string, f func()) {
		logf("--- " + what)
		f()
		<-time.After(900 * time.Millisecond)
	}
	round("10 good, one endpoint dead", func() {
		for range 10 {
			if got := p.get(t.Context(), ""); !strings.HasPrefix(got, "200") {
				logf("got " + got)
			}
		}
	})
	h.edit = nil
	h.apply(10000)
	<-time.After(700 * time.Millisecond)
	round("5 good", func() {
		for range 5 {
			p.get(t.Context(), "")
		}
	})
	round("3 slow of 600 ms", func() {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { p.get(t.Context(), "delay=600ms") })
		}
		wg.Wait()
	})
	round("3 slow of 600 ms, 500", func() {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { logf(p.get(t.Context(), "delay=600ms&status=500")[:3]) })
		}
		wg.Wait()
	})
	round("2 of 503", func() { p.get(t.Context(), "status=503"); p.get(t.Context(), "status=503") })
	round("reset before headers x2", func() {
		h.eks.SetFaults(origin.Faults{ResetShare: 1})
		logf(p.get(t.Context(), ""))
		logf(p.get(t.Context(), ""))
		h.eks.SetFaults(origin.Faults{})
	})
	round("answer cut off in the middle, x2", func() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { logf("cut: " + fmt.Sprint(len(p.get(t.Context(), "bytes=100&times=50&every=20ms")))) })
		}
		<-time.After(300 * time.Millisecond)
		h.set(origin.Resetting)
		wg.Wait()
		h.set(origin.Serving)
	})
	round("client goes away x2", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { p.get(ctx, "delay=2s") })
		}
		wg.Wait()
	})
	if protocol == "http2" {
		round("gRPC 13 x3", func() {
			conn, err := grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("orders.test"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c := grpc_testing.NewTestServiceClient(conn)
			for range 3 {
				_, err := c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 13, Message: "no"}})
				logf(fmt.Sprint(err))
			}
			_, err = c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 5, Message: "no"}})
			logf(fmt.Sprint(err))
		})
	}
	round("all refusing x3", func() {
		h.set(origin.Refusing)
		for range 3 {
			logf(p.get(t.Context(), ""))
		}
		h.set(origin.Serving)
	})
	round("black hole x2", func() {
		h.set(origin.BlackHole)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { logf(p.get(t.Context(), "")) })
		}
		wg.Wait()
		h.set(origin.Serving)
	})
	_ = http.StatusOK
}
