package translate_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// watched is a service that ejects endpoints; PORT and the share that may be out at once are filled in.
const watched = `{apiVersion: crossfade/v1, kind: Service, name: orders, hosts: [orders.test], primary: ecs, listener: {port: PORT}, origins: [
{name: ecs, static: {endpoints: ["127.0.0.1:1"]}, outlierDetection: {consecutiveFailures: 3, interval: 500ms, baseEjectionTime: 60s%s}}, {name: eks, static: {endpoints: ["127.0.0.1:1"]}}]}
`

// put puts an origin at tasks.
func (l *lab) put(origin string, tasks []task) {
	l.t.Helper()
	l.ads.Set(translate.Endpoints("orders", origin, endpointsOf(tasks)))
	for _, task := range tasks {
		l.awaitHost("orders/"+origin, task.endpoint.Address.String())
	}
}

// numbered starts n tasks.
func numbered(t *testing.T, n int) []task {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = "a" + strconv.Itoa(i)
	}
	return startTasks(t, names...)
}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }

// ejected counts endpoints that outlier detection has taken out.
func (l *lab) ejected() int {
	l.t.Helper()
	hosts, err := l.envoy.Hosts(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	n := 0
	for _, h := range hosts {
		if slices.Contains(h.Failing, "failed_outlier_check") {
			n++
		}
	}
	return n
}

// TestEjection lets one endpoint fail, and all, of origins of 1 to 5. The share is kept exactly, rounded down, so that an origin of one keeps
// it, and Envoy's own 10 % would do nothing for any of these. With all of them out, all are used: an application that answers 500 to
// everything is not replaced by a proxy that answers 503.
func TestEjection(t *testing.T) {
	ours := map[int][2]int{1: {0, 0}, 2: {1, 1}, 3: {1, 1}, 4: {1, 2}, 5: {1, 2}} // endpoints → out, if one fails, and if all do
	all := map[int][2]int{1: {1, 1}, 2: {1, 2}, 3: {1, 3}, 4: {1, 4}, 5: {1, 5}}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for setting, want := range map[string]map[int][2]int{
			"": ours, ", maxEjectionPercent: 100": all, ", maxEjectionPercent: 10": {1: {0, 0}, 2: {0, 0}, 3: {0, 0}, 4: {0, 0}, 5: {0, 0}},
		} {
			l := newLab(t, version, fmt.Sprintf(watched, setting))
			for n, out := range want {
				tasks := numbered(t, n)
				l.put("ecs", tasks)
				tasks[0].answer(fails)
				l.spread(8 * n)
				if got := l.ejected(); got != out[0] {
					t.Errorf("%d endpoints, one fails%s: %d are out, want %d", n, setting, got, out[0])
				}
				for _, task := range tasks {
					task.answer(fails)
				}
				for range 20 * n {
					if r := l.get("orders.test", "/"); r.StatusCode != 500 || r.origin() == "" {
						t.Fatalf("%d endpoints, all fail%s: %d %s", n, setting, r.StatusCode, r.body)
					}
				}
				if got := l.ejected(); got != out[1] {
					t.Errorf("%d endpoints, all fail%s: %d are out, want %d", n, setting, got, out[1])
				}
			}
		}
	})
}

// TestEjectionOfTheDead: refused connections count as failures, also where retries hide them.
func TestEjectionOfTheDead(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, fmt.Sprintf(watched, ""))
		tasks := numbered(t, 2)
		tasks[0].close()
		l.put("ecs", tasks)
		if got := l.spread(20); got["a1"] != 20 {
			t.Errorf("answered by %v", got)
		}
		if got := l.ejected(); got != 1 {
			t.Errorf("%d are out", got)
		}
	})
}
