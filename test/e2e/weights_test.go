package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestThousandWeightChanges changes weights under load of HTTP/1.1 with keep-alive, HTTP/2 and gRPC: nothing fails, and a WebSocket
// stays open across all of them.
func TestThousandWeightChanges(t *testing.T) {
	const changes = 1000
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, 1)
		w.apply(w.service("one", "http1", 0), w.service("two", "http2", 0), w.service("rpc", "http2", 0))
		w.ready()
		one := w.load("one", loadgen.HTTP1, 200)
		two := w.load("two", loadgen.HTTP2, 200)
		rpc := w.calls("rpc")
		socket := w.socket("one")
		r := rand.New(rand.NewPCG(1, 2))
		for i := range changes {
			service := []string{"one", "two", "rpc"}[i%3]
			if _, err := w.API.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: service, Weights: map[string]int32{"eks": r.Int32N(10001)}}); err != nil {
				t.Fatal(err)
			}
			if i%100 == 0 {
				socket.echo(fmt.Sprint(i))
			}
		}
		socket.echo("last")
		for name, report := range map[string]*loadgen.Report{"HTTP/1.1": one(), "HTTP/2": two()} {
			noneFailed(t, report, 100)
			if report.ByOrigin["ecs"] == 0 || report.ByOrigin["eks"] == 0 {
				t.Errorf("%s: %v", name, report.ByOrigin)
			}
		}
		if done, failed := rpc(); failed != nil || done < 100 {
			t.Errorf("gRPC: %d calls, %v", done, failed)
		}
	})
}

// await waits for something that processes do in their own time.
func (w *world) await(what string, cond func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, poll.True(cond)); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}
