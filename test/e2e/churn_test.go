package e2e

import (
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// TestRollingDeployUnderLoad replaces every pod and every task while requests, 20 % of them POST, go to both: none fails, none is sent
// twice, and none comes to a closed door: endpoints leave before they stop, so that retries had nothing to do. A service beside it that
// learns of new addresses only after the deploy, and does not retry, must fail, or the test is too kind.
func TestRollingDeployUnderLoad(t *testing.T) {
	s := kubetest.Start(t)
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newChurn(t, s, version)
		w.apply(w.discovered("one", "http1"), w.discovered("two", "http2"), w.stale("naive"))
		w.settled("one", "two", "naive")
		w.good()
		one, two, naive := w.mix("one", loadgen.HTTP1), w.mix("two", loadgen.HTTP2), w.mix("naive", loadgen.HTTP1)
		w.replaceAll()
		for _, l := range []*mix{one, two} {
			w.none(l)
			if l.sum().ByOrigin["eks"] == 0 || l.sum().ByOrigin["ecs"] == 0 {
				t.Errorf("%s was answered by %v", l.service, l.sum().ByOrigin)
			}
		}
		for name, n := range w.refused() {
			if n > 0 != strings.Contains(name, "naive") {
				t.Errorf("%s: %d", name, n)
			}
		}
		if r := naive.sum(); r.Failed == 0 {
			t.Errorf("none of %d requests failed with stale addresses and without retries: the test is too kind", r.Done)
		} else {
			t.Logf("stale addresses, no retries: %d of %d failed: %v", r.Failed, r.Done, r.Failures)
		}
		if kills := append(w.pods.Kills(), w.tasks.Kills()...); len(kills) > 0 {
			t.Errorf("killed in the middle of a request: %v", kills)
		}
		w.deadEndpoints()
	})
}

// deadEndpoints lets a pod and a task die of which nobody says so: what comes to their closed doors is sent elsewhere, POST too, for it was
// not sent yet.
func (w *churn) deadEndpoints() {
	w.t.Helper()
	before := w.refused()
	w.pods.Running()[0].Close()
	w.tasks.Running()[0].Close()
	one, two := w.mix("one", loadgen.HTTP1), w.mix("two", loadgen.HTTP2)
	w.more(one, 300)
	w.more(two, 300)
	w.none(one)
	w.none(two)
	for name, n := range w.refused() {
		if !strings.Contains(name, "naive") && n == before[name] {
			w.t.Errorf("%s: no connection was refused: what does this test?", name)
		}
	}
}
