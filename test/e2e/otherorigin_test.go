package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// saved makes GETs of a service be tried at the other origin when they fail by a 5xx.
func saved(d *crossfadev1.Document) *crossfadev1.Document {
	d.GetService().Retries = &crossfadev1.Retries{OtherOrigin: &crossfadev1.OtherOrigin{On: []string{"5xx"}, MaxConcurrent: 1000}}
	return d
}

// TestWhatTheOtherOriginHidesIsCounted: the metric is what the log of the origin that failed says; after a rollback nothing goes there, which is proven.
func TestWhatTheOtherOriginHidesIsCounted(t *testing.T) {
	const asked = 200
	t.Parallel()
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorldOf(t, version, 1, func(c *stack.Config) { c.Flush = 500 * time.Millisecond })
		w.apply(saved(w.service("orders", "http1", 5000)))
		w.ready()
		fail := func(o *origin.Origin, share float64) {
			t.Helper()
			if err := o.SetFaults(origin.Faults{ErrorShare: share}); err != nil {
				t.Fatal(err)
			}
		}
		fail(w.eks, 1)
		if n := w.statuses("GET", asked)[200]; n != asked {
			t.Errorf("%d of %d GETs were answered", n, asked)
		}
		hidden := w.eks.Total()
		if got := w.ecs.Total(); got != asked || hidden == 0 {
			t.Errorf("ecs got %d of %d requests, after eks had failed %d", got, asked, hidden)
		}
		w.await("the metric", func() bool { return w.counted("hidden_failures_total", `origin="eks"`) >= hidden })
		for labels, want := range map[string]uint64{`class="2xx",origin="eks"`: hidden, `class="5xx",origin="eks"`: 0, `class="2xx",origin="ecs"`: asked - hidden} {
			w.await("requests by origin", func() bool { return w.counted("requests_total", labels) >= want })
			if got := w.counted("requests_total", labels); got != want {
				t.Errorf("requests %s: %d, want %d", labels, got, want)
			}
		}
		if got := w.counted("hidden_failures_total", `origin="eks"`); got != hidden || w.counted("hidden_failures_total", `origin="ecs"`) != 0 {
			t.Errorf("%d hidden failures, and the log of eks has %d", got, hidden)
		}
		if n := w.statuses("POST", asked); n[503] == 0 || n[200]+n[503] != asked {
			t.Errorf("POSTs were answered %v", n)
		}

		fail(w.eks, 0)
		stop := w.load("orders", loadgen.HTTP1, 50)
		got, err := w.API.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders", Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_PROVEN}})
		stop()
		if err != nil || len(got.GetChanges()) != 1 || got.GetChanges()[0].GetProof().GetState() != "proven" {
			t.Fatalf("rollback: %v %v", got, err)
		}
		left := w.eks.Total()
		fail(w.ecs, 1)
		if n := w.statuses("GET", asked)[503]; n != asked || w.eks.Total() != left {
			t.Errorf("after the rollback %d of %d GETs failed with ecs, and eks got %d", n, asked, w.eks.Total()-left)
		}
	})
}

// statuses asks one request after the other and counts the answers.
func (w *world) statuses(method string, n int) map[int]int {
	w.t.Helper()
	out := map[int]int{}
	for range n {
		req, err := http.NewRequestWithContext(w.t.Context(), method, fmt.Sprintf("http://%s:%d/", w.Proxies[0].Host, w.port), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Host = "orders.test"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		out[resp.StatusCode]++
	}
	return out
}

// counted reads a counter of service orders.
func (w *world) counted(name, labels string) (n uint64) {
	w.t.Helper()
	for line := range strings.Lines(w.metric("crossfade_" + name)) {
		if value, ok := strings.CutPrefix(line, fmt.Sprintf("crossfade_%s{%s,service=\"orders\"} ", name, labels)); ok {
			var f float64
			if _, err := fmt.Sscan(value, &f); err != nil {
				w.t.Fatal(err)
			}
			return uint64(f)
		}
	}
	return 0
}

// hiddenFailuresGoBack: nobody sees a failure of the candidate, and its guard does.
func (a *app) hiddenFailuresGoBack() {
	a.apply(saved(a.service(a.name, "http1", 0)))
	q := a.ask(usualRate)
	a.start(long(a.doc(2000, 10000)))
	a.bakes(2000)
	before := a.eks.Total()
	a.await("requests at eks", func() bool { return a.eks.Total() > before+50 })
	a.errors(a.eks, 0.2)
	a.ended("RolledBack", 0)
	a.left(a.eks.Total())
	a.wentBackFor("guard err", "%")
	q.none()
}
