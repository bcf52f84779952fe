package server_test

import (
	"fmt"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// TestTracesDoNotQuoteRequests: what a pin asks for may be a token, and the words for a mistake in it quote it. The trace says which field it is.
func TestTracesDoNotQuoteRequests(t *testing.T) {
	const secret = "s3cr3t\x01"
	spans := tracetest.NewSpanRecorder()
	f := start(t, server.Config{Controller: newController(t), Traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	doc := service("orders")
	doc.GetService().Pins = []*crossfadev1.Pin{{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-key", Condition: &crossfadev1.ValueMatch_Exact{Exact: secret}}}}}
	if _, err := f.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{doc}}); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: "carts"}); status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	var said []string
	for _, s := range spans.Ended() {
		if whole := fmt.Sprint(s.Name(), s.Status(), s.Attributes(), s.Events()); strings.Contains(whole, "s3cr3t") {
			t.Errorf("a span quotes the request: %s", whole)
		}
		said = append(said, s.Name()+": "+s.Status().Description)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "Apply: ") || !strings.Contains(all, "pins[0]") || !strings.Contains(all, "Get: ") || !strings.Contains(all, "carts") {
		t.Errorf("the spans say\n%s", all)
	}
}
