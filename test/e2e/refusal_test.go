package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// TestRefusedByAProxy applies what Envoys cannot take: the call fails in their words, the fleet has what it had before, the alarm
// metric counts, the history says what happened, and a rollback meanwhile is applied and stays.
func TestRefusedByAProxy(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, 2)
		w.apply(w.service("orders", "http1", 5000))
		w.ready()
		stop := w.load("orders", loadgen.HTTP1, 200)
		bad := w.service("bad", "http1", 0)
		bad.GetService().Listener.Port = int32(w.taken())
		rolled := make(chan error, 1)
		go func() {
			_, err := w.API.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders"})
			rolled <- err
		}()
		_, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{bad}})
		if st := status.Convert(err); st.Code() != codes.FailedPrecondition || !strings.Contains(st.Message(), "Address already in use") {
			t.Fatalf("apply: %v", err)
		}
		if err := <-rolled; err != nil {
			t.Fatalf("the rollback meanwhile: %v", err)
		}
		got, err := w.API.List(t.Context(), &crossfadev1.ListRequest{})
		if err != nil || len(got.GetItems()) != 1 || got.GetItems()[0].GetSplit()["ecs"] != 10000 {
			t.Fatalf("live afterwards: %v %v", got, err)
		}
		history, err := w.API.ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{Service: "bad"})
		if err != nil || history.GetItems()[0].GetAction() != "revert" || !strings.Contains(history.GetItems()[0].GetReason(), "Address already in use") {
			t.Fatalf("history: %v %v", history, err)
		}
		if m := w.metric("crossfade_nacks_total"); m == "" {
			t.Error("no crossfade_nacks_total in the metrics")
		}
		w.apply(w.service("pay", "http1", 10000)) // what is right is still taken
		noneFailed(t, stop(), 20)
	})
}

// taken returns a port that is in use at the address of the first proxy.
func (w *world) taken() int {
	w.t.Helper()
	l, err := net.Listen("tcp", w.Proxies[0].Host+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// metric returns the lines of a metric.
func (w *world) metric(name string) string {
	w.t.Helper()
	resp, err := http.Get("http://" + w.Server.HTTP + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, name) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// TestTwoProxiesWithOneID are both served, and shown.
func TestTwoProxiesWithOneID(t *testing.T) {
	w := newWorld(t, "", 1)
	w.apply(w.service("orders", "http1", 0))
	w.ready()
	if _, err := w.AddTwin(t.Context(), w.Proxies[0]); err != nil {
		t.Fatal(err)
	}
	w.ready()
	got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
	if err != nil || len(got.GetItems()) != 1 || got.GetItems()[0].GetState() != "duplicate" {
		t.Fatalf("%v %v", got, err)
	}
}

// TestProxyOfAnUnknownFleet is connected, not ready, and told what is missing.
func TestProxyOfAnUnknownFleet(t *testing.T) {
	w := newWorld(t, "", 0)
	w.apply(w.service("orders", "http1", 0))
	p, err := w.AddProxy(t.Context(), "nobody", 1)
	if err != nil {
		t.Fatal(err)
	}
	w.await("the proxy to connect", func() bool {
		got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{Fleet: "nobody"})
		return err == nil && len(got.GetItems()) == 1 && got.GetItems()[0].GetState() == "unknown-fleet"
	})
	w.await("the readiness listener", func() bool {
		resp, err := http.Get(p.Ready)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	named := w.service("orders", "http1", 0)
	named.GetService().Name, named.GetService().Fleet = "theirs", "nobody"
	w.apply(named)
	w.ready()
}
