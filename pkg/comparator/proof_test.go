package comparator

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestAForeignProcessSeesNothing: what has the address of a proxy and is not the proxy gets no path, no body, no credentials and no identity,
// and its answers are compared with nothing. Once the proxy is there it is asked.
func TestAForeignProcessSeesNothing(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]*crossfadev1.Mirror{"http": document(), "grpc": grpcDocument(false), "reflection": grpcDocument(true)} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var saw strings.Builder
			foreign := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(&saw, r.Method, r.URL, r.Host, r.Header, string(body))
				w.Header().Set("x-cf-via", "other")
				fmt.Fprint(w, `{"a":1}`)
			}))
			origin := says("%q")
			if name != "http" {
				origin = grpcOrigin(healthv1.HealthCheckResponse_SERVING, nil)
			}
			w := newWorld(t, origin, origin, Limits{Spread: time.Minute})
			real := w.experiment
			w.experiment = foreign.Listener.Addr().String()
			doc.Methods, doc.AllowWrites, doc.KeepHeaders = []string{"GET", "POST"}, true, []string{"cookie"}
			identity := func(o *crossfadev1.RunOrder) { o.IdentityHeader, o.IdentityValue = "x-test", "SECRET" }
			w.run(doc, identity)
			ask := func(i int) {
				if name != "http" {
					w.call("SECRET")
					return
				}
				r := w.copyOf("POST", "/SECRET", "SECRET")
				r.Header.Set("cookie", fmt.Sprint("SECRET", i))
				w.send(r)
			}
			for i := range 20 {
				ask(i)
			}
			r := w.awaitCounted(20)
			if r.Dropped[dropProxy]+r.Dropped[dropLearning] != 20 {
				t.Errorf("%v, compared %d", r.Dropped, r.Compared)
			}
			mu.Lock()
			all := saw.String()
			mu.Unlock()
			if all == "" || strings.Contains(all, "SECRET") || strings.Contains(all, "/grpc.health") || strings.Contains(all, "shop") {
				t.Errorf("it saw %s", all)
			}
			if log := w.log.String(); !strings.Contains(log, "is not that proxy") || strings.Contains(log, "SECRET") {
				t.Error(log)
			}
			w.experiment = real
			w.run(doc, identity)
			n := 20
			w.await("for the proxy to be asked", func() bool {
				ask(n)
				n++
				r := w.awaitCounted(uint64(n))
				return r.Compared+r.TargetFailed > 0
			})
		})
	}
}

// TestTwoProxiesWithOneAddress: a copy is asked only through the proxy that made it.
func TestTwoProxiesWithOneAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.server.order(func(o *crossfadev1.WorkResponse) { o.Proxies.Addresses["p2"] = w.experiment })
	w.get("/a")
	w.awaitCounted(1)
	for range 5 {
		r := w.copyOf("GET", "/a", "")
		r.Header.Set("x-cf-proxy", "p2")
		w.send(r)
		w.get("/a")
	}
	if r := w.awaitCounted(11); r.Dropped[dropProxy] != 5 || r.Compared != 6 {
		t.Errorf("%v, compared %d", r.Dropped, r.Compared)
	}
}

// TestAnswersThatCameAnotherWayAreDropped, also over a connection that has proven itself.
func TestAnswersThatCameAnotherWayAreDropped(t *testing.T) {
	t.Parallel()
	for name, via := range map[string]string{"no word": "", "another proxy": "p2"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
			w.run(document(), nil)
			w.get("/a")
			w.awaitCounted(1)
			w.proxy.mu.Lock()
			w.proxy.id = via
			w.proxy.mu.Unlock()
			w.get("/a")
			if r := w.awaitCounted(2); r.Dropped[dropProxy] != 1 || r.Compared != 1 {
				t.Errorf("%v, compared %d", r.Dropped, r.Compared)
			}
		})
	}
}

// TestAProxyThatComesBackIsAsked over HTTP/2 too, where there is one connection.
func TestAProxyThatComesBackIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(grpcDocument(false), nil)
	w.call("a")
	w.awaitCounted(1)
	w.proxy.CloseClientConnections()
	n := uint64(1)
	w.await("for another call to be asked", func() bool {
		w.call("a")
		n++
		r := w.awaitCounted(n)
		return r.Compared+r.TargetFailed > 1
	})
}

// TestMoreCallsThanAConnectionTakes go over others, which have proven themselves too; and afterwards it all goes on.
func TestMoreCallsThanAConnectionTakes(t *testing.T) {
	t.Parallel()
	const calls = 140
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("%q").ServeHTTP(w, r)
	})
	w := newWorld(t, slow, slow, Limits{Timeout: time.Minute, Spread: time.Minute, PerProxy: calls})
	w.run(grpcDocument(false), nil)
	for range calls {
		w.call("a")
	}
	w.await("to be asked", func() bool {
		return w.proxy.asked["shop/ecs@shadow"].Load()+w.proxy.asked["shop/eks@shadow"].Load() == 2*calls
	})
	close(release)
	w.awaitCounted(calls)
	for range 10 {
		w.call("a")
	}
	if r := w.awaitCounted(calls + 10); len(r.Dropped) > 0 {
		t.Errorf("%v", r.Dropped)
	}
	if c, _ := w.server.counts(w.key); c.GetAskedControl() != calls+10 || c.GetAskedCandidate() != calls+10 {
		t.Errorf("told is that %d and %d were asked, of %d", c.GetAskedControl(), c.GetAskedCandidate(), calls+10)
	}
}

func TestPlacesAreKeptApart(t *testing.T) {
	for _, p := range []place{{"p1", "127.0.0.1:80"}, {"p 1.", "[::1]:80"}, {"", ""}, {"é\x00", "x"}} {
		if got, err := placeOf(p.host() + ":80"); err != nil || got != p {
			t.Errorf("%q: %q, %v", p, got, err)
		}
	}
	if _, err := placeOf("host.example:80"); err == nil {
		t.Error("a host is no place")
	}
}
