package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// collector takes traces, as those of OpenTelemetry do.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []*tracev1.Span
}

// Export implements the protocol.
func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// paths are the names of the spans of a trace, from the call on, each with what it is about; sorted.
func (c *collector) paths(trace string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := map[string]*tracev1.Span{}
	for _, s := range c.spans {
		by[string(s.GetSpanId())] = s
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) != trace {
			continue
		}
		path := ""
		for at := s; at != nil; at = by[string(at.GetParentSpanId())] {
			name := at.GetName()
			for _, a := range at.GetAttributes() {
				if a.GetKey() == "crossfade.proxy" || a.GetKey() == "crossfade.fleet" {
					name += " " + a.GetValue().GetStringValue()
				}
			}
			path = "/" + name + path
		}
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// TestOneTraceFromTheCallToEachProxy follows two changes to the proxies' acknowledgements.
func TestOneTraceFromTheCallToEachProxy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	traces, server := &collector{}, grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, traces)
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	w := newWorldOf(t, "", 2, func(c *stack.Config) {
		c.Env = append(c.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+ln.Addr().String(), "OTEL_BSP_SCHEDULE_DELAY=50")
	})
	w.apply(w.service("orders", "http1", 1000))
	w.ready()
	acks := func(call, change string) (out []string) {
		out = []string{"/" + call, "/" + call + "/" + change, "/" + call + "/" + change + "/push default", "/" + call + "/" + change + "/store"}
		for _, p := range w.Proxies {
			out = append(out, "/"+call+"/"+change+"/push default/ack "+p.ID)
		}
		slices.Sort(out)
		return out
	}
	for i, call := range []struct {
		want []string
		make func(context.Context) error
	}{
		{acks("SetSplit", "change"), func(ctx context.Context) error {
			_, err := w.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"ecs": 5000, "eks": 5000}})
			return err
		}},
		{acks("Rollback", "rollback"), func(ctx context.Context) error {
			_, err := w.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders", Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED}})
			return err
		}},
	} {
		trace := fmt.Sprintf("%032x", 0xcafe0+i)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-00000000000000ab-01")
		if err := call.make(ctx); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := poll.Until(ctx, 20*time.Millisecond, func(context.Context) error {
			if got := traces.paths(trace); !slices.Equal(got, call.want) {
				return fmt.Errorf("the trace has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(call.want, "\n"))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
