package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func events() []*crossfadev1.WatchResponse {
	at := timestamppb.New(now)
	return []*crossfadev1.WatchResponse{
		{Type: "service", Time: at, Object: &crossfadev1.WatchResponse_Service{Service: ordersStatus()}},
		{Type: "revision", Time: at, Object: &crossfadev1.WatchResponse_Revision{Revision: historyAnswer().GetItems()[0]}},
		{Type: "proxy", Time: at, Object: &crossfadev1.WatchResponse_Proxy{Proxy: proxiesAnswer().GetItems()[1]}},
	}
}

// notify keeps what is written, and calls each with every line of it.
type notify struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	each func(line string)
}

func (n *notify) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Write(p)
	for line := range strings.Lines(string(p)) {
		n.each(line)
	}
	return len(p), nil
}

func (n *notify) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

func (n *notify) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Reset()
}

// runWatch watches until stop lines came.
func runWatch(t *testing.T, d *double, stop int, args ...string) (exit int, out, errs string) {
	t.Helper()
	return runUntil(t, d, stop, append([]string{"watch"}, args...)...)
}

// runUntil runs a command until it has written stop lines.
func runUntil(t *testing.T, d *double, stop int, args ...string) (exit int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := 0
	stdout := &notify{each: func(string) {
		if lines++; lines == stop {
			cancel()
		}
	}}
	var stderr bytes.Buffer
	a := &app{out: stdout, err: &stderr, now: func() time.Time { return now }, env: func(string) string { return "" }}
	exit = a.run(ctx, append([]string{"--server", d.address}, args...))
	return exit, stdout.String(), stderr.String()
}

// TestWatch: one line for each event, until interrupted, which is no error.
func TestWatch(t *testing.T) {
	var asked *crossfadev1.WatchRequest
	d := serve(t, &double{watch: func(in *crossfadev1.WatchRequest, out grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error {
		asked = in
		for _, e := range events() {
			if err := out.Send(e); err != nil {
				return err
			}
		}
		<-out.Context().Done()
		return nil
	}})
	exit, out, errs := runWatch(t, d, 3, "orders", "-o", "json")
	if exit != 0 || errs != "" || asked.GetService() != "orders" {
		t.Errorf("exit %d, asked %v, err %s", exit, asked, errs)
	}
	for line := range strings.Lines(out) {
		var e struct {
			Type, Time string
			Object     map[string]any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time != "2026-03-01T03:00:00Z" || len(e.Object) == 0 {
			t.Errorf("%v: %s", err, line)
		}
	}
	exit, out, _ = runWatch(t, d, 3)
	if exit != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	for _, want := range []string{
		"  service   orders  ecs 90% · eks 10%  ecs: 1,204 req/s, <0.01% errors, p99 31 ms",
		`  revision  orders  revision 42 by alice@laptop: split set, 100% ecs → ecs 90% · eks 10% "first step"`,
		"  proxy     edge-2  refused, revision 40 of 42  keeps its last good configuration  refused Listener",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no line with %q in\n%s", want, out)
		}
	}
}

// TestWatchConnectsAgain: when the stream breaks, it says so on standard error and goes on.
func TestWatchConnectsAgain(t *testing.T) {
	var streams atomic.Int32
	d := serve(t, &double{watch: func(_ *crossfadev1.WatchRequest, out grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error {
		if err := out.Send(events()[0]); err != nil {
			return err
		}
		switch streams.Add(1) {
		case 1:
			return status.Error(codes.Unavailable, "shutting down")
		case 2:
			return nil // ended without an error
		}
		<-out.Context().Done()
		return nil
	}})
	exit, out, errs := runWatch(t, d, 3, "-o", "json")
	if exit != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("exit %d, out %s", exit, out)
	}
	if errs != "connection lost (shutting down); trying again in 250ms\nconnection lost (the server ended it); trying again in 250ms\n" {
		t.Errorf("err %s", errs)
	}
}

// TestWatchGivesUp: what another attempt would not mend ends it.
func TestWatchGivesUp(t *testing.T) {
	d := serve(t, &double{watch: func(*crossfadev1.WatchRequest, grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error {
		return status.Error(codes.NotFound, "no such service")
	}})
	if exit, _, errs := runWatch(t, d, 1, "nothing"); exit != 4 || !strings.Contains(errs, "no such service") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}
