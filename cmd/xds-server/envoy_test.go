package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// TestWithARealEnvoy goes the way of a first user: a service, a split, a rollback with its proof; then the server ends in order and comes
// back, and the proxy serves all the while.
func TestWithARealEnvoy(t *testing.T) {
	s := startStack(t)
	ecs, eks := startOrigin(t, "ecs"), startOrigin(t, "eks")
	ctx := t.Context()
	if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders(ecs.Addr(), eks.Addr())}}); err != nil {
		t.Fatal(err)
	}
	proxy, err := s.AddProxy(ctx, "default", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	// ask sends requests through the proxy, none of which may fail, and returns how many each origin answered.
	ask := func(n int) (atECS, atEKS uint64) {
		t.Helper()
		e, k := ecs.Total(), eks.Total()
		for range n {
			request(t, proxy.Host)
		}
		return ecs.Total() - e, eks.Total() - k
	}
	acked := func(what string, c *crossfadev1.Change, err error) {
		t.Helper()
		if err != nil || c.GetFleet().GetAcked() != 1 || c.GetFleet().GetConnected() != 1 || !c.GetRecorded() {
			t.Fatalf("%s: %v, %v", what, c, err)
		}
	}
	if e, k := ask(50); e != 50 || k != 0 {
		t.Errorf("at first %d at ecs, %d at eks", e, k)
	}
	split, err := s.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": 5000}})
	acked("split", split.GetChange(), err)
	if e, k := ask(200); e < 50 || k < 50 {
		t.Errorf("with half each: %d at ecs, %d at eks", e, k)
	}
	back, err := s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders"})
	if err != nil || len(back.GetChanges()) != 1 {
		t.Fatal(back, err)
	}
	acked("rollback", back.GetChanges()[0], nil)
	if state := back.GetChanges()[0].GetProof().GetState(); state != "proven" && state != "silent" {
		t.Errorf("proof %v", back.GetChanges()[0].GetProof())
	}
	if e, k := ask(200); e != 200 || k != 0 {
		t.Errorf("after the rollback %d at ecs, %d at eks", e, k)
	}
	awaitMetrics(t, s.Server.HTTP, `crossfade_proxies{fleet="default",state="ok"} 1`, `crossfade_push_ack_seconds_count{fleet="default"} 2`,
		`crossfade_rollback_seconds_count{stage="answered"} 1`, `crossfade_requests_total{class="2xx",origin="ecs",service="orders"}`, "crossfade_store_write_seconds_count 3")

	if err := syscall.Kill(s.Server.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, s.Server.PID)
	if e, k := ask(50); e != 50 || k != 0 {
		t.Errorf("without the server %d at ecs, %d at eks", e, k)
	}
	if err := s.RestartServer(ctx); err != nil {
		t.Fatal(err)
	}
	awaitMetrics(t, s.Server.HTTP, `crossfade_proxies{fleet="default",state="ok"} 1`)
	split, err = s.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": 10000}})
	acked("split after the restart", split.GetChange(), err)
	if e, k := ask(50); e != 0 || k != 50 {
		t.Errorf("after the restart %d at ecs, %d at eks", e, k)
	}
}

// startStack starts this program as a control plane for real Envoys, which ends with the test and then shows what it printed if that failed.
func startStack(t *testing.T) *stack.Stack {
	t.Helper()
	t.Setenv(asServer, "1")
	log := &output{}
	s, err := stack.Start(t.Context(), stack.Config{Binary: os.Args[0], Envoy: envoytest.Binary(t, ""), Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("xds-server printed:\n%s", log)
		}
	})
	return s
}

func startOrigin(t *testing.T, name string) *origin.Origin {
	t.Helper()
	o, err := origin.Start(origin.Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// request asks for orders at a proxy.
func request(t *testing.T, host string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+":10000/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "orders.test"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a request: %s, %v: %s", resp.Status, err, body)
	}
}

// awaitMetrics waits until /metrics holds every line that begins so.
func awaitMetrics(t *testing.T, address string, wants ...string) {
	t.Helper()
	within(t, func() error {
		_, body := get(t, "http://"+address+"/metrics")
		if missing := lacks(body, wants); len(missing) > 0 {
			return fmt.Errorf("/metrics lacks %q", missing)
		}
		return nil
	})
}

// awaitGone waits for the end of a process.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	within(t, func() error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is still there: %w", pid, err)
		}
		return nil
	})
}

func within(t *testing.T, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := poll.Until(ctx, 20*time.Millisecond, func(context.Context) error { return ok() }); err != nil {
		t.Fatal(err)
	}
}
