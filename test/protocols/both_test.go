package protocols

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// TestBothLimits: a service that limits requests and streams. timeouts.request begins where the request has ended, so it ends what is only answered; what
// both sides talk on has until maxStreamDuration. A call of gRPC ends by whichever is first of both and its own deadline.
func TestBothLimits(t *testing.T) {
	const long = 6 * limit
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, &crossfadev1.Timeouts{Request: durationpb.New(limit), MaxStreamDuration: durationpb.New(long)})
		w.ends(t, true, map[string]time.Duration{"WebSocket": long, "gRPC, both ways": long, "gRPC, not answered yet": long}, map[string][]string{
			"WebSocket":              {"cut off"},
			"events over HTTP/1.1":   {"cut off"},
			"events over HTTP/2":     {"reset INTERNAL_ERROR"},
			"gRPC, both ways":        {"reset INTERNAL_ERROR", "DeadlineExceeded"},
			"gRPC, not answered yet": {"DeadlineExceeded max_duration", "DeadlineExceeded", "Unavailable connection_lost"},
		})
		for _, c := range []struct {
			name            string
			deadline, after time.Duration
			want            []string
		}{
			{"without a deadline", 0, limit, []string{"Unavailable timeout"}},
			{"with a longer deadline", long, limit, []string{"Unavailable timeout"}},
			// The clocks of the client, the proxy and the application run out together.
			{"with a shorter deadline", limit / 4, limit / 4, []string{"DeadlineExceeded", "DeadlineExceeded max_duration", "Unavailable connection_lost"}},
		} {
			if got, took := w.unary(t, c.deadline); !slices.Contains(c.want, got) || !inTime(took, c.after) {
				t.Errorf("a call %s: %s after %s, want %s after %s", c.name, got, took, strings.Join(c.want, " or "), c.after)
			}
		}
	})
}

// unary makes a call that no application answers, and describes its end. A deadline of 0 is none.
func (w *world) unary(t *testing.T, deadline time.Duration) (end string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := &peer{world: w, address: w.proxied(), host: overGRPC + ".test", id: "unary " + deadline.String()}
	conn, err := p.dialCalls()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	call, began := context.WithoutCancel(ctx), time.Now()
	if deadline > 0 {
		var stop context.CancelFunc
		call, stop = context.WithTimeout(call, deadline)
		defer stop()
	}
	_, err = testpb.NewTestServiceClient(conn).EmptyCall(metadata.AppendToOutgoingContext(call, "x-id", p.id), &testpb.Empty{})
	return ending(ctx, err), time.Since(began)
}
