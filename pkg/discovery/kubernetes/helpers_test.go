package kubernetes

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// deadline is how long a test waits for a look.
const deadline = time.Minute

// open makes a cluster of a test with short times; it is closed with the test.
func open(t testing.TB, c Config) *Cluster {
	t.Helper()
	c.Name, c.Log = "test", slog.New(slog.NewTextHandler(t.Output(), nil))
	if c.Again == 0 {
		c.Again = time.Hour // looks come from changes alone
	}
	cluster, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// watcher follows a target in a goroutine of its own.
type watcher struct {
	t      testing.TB
	target Target
	looks  chan discovery.Look
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Watch; valid once done is closed
}

func follow(t testing.TB, c *Cluster, target Target) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{t: t, target: target, looks: make(chan discovery.Look, 1000), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = c.Watch(ctx, target, func(l discovery.Look) { w.looks <- l })
	}()
	t.Cleanup(w.stop)
	return w
}

// stop returns when Watch has.
func (w *watcher) stop() {
	w.cancel()
	<-w.done
}

// next returns the next look.
func (w *watcher) next() discovery.Look {
	w.t.Helper()
	select {
	case l := <-w.looks:
		return l
	case <-w.done:
		w.t.Fatalf("%v: Watch returned %v", w.target, w.err)
	case <-time.After(deadline):
		w.t.Fatalf("%v: no look", w.target)
	}
	return discovery.Look{}
}

// await waits for a look that reads as want, and returns those before it.
func (w *watcher) await(want string) []string {
	w.t.Helper()
	var before []string
	end := time.After(deadline)
	for {
		select {
		case l := <-w.looks:
			if got := told(l); got == want {
				return before
			} else if before = append(before, got); l.Err != nil {
				w.t.Logf("%v: %v", w.target, l.Err)
			}
		case <-w.done:
			w.t.Fatalf("%v: Watch returned %v", w.target, w.err)
		case <-end:
			w.t.Fatalf("%v: waited for %q, got %q", w.target, want, before)
		}
	}
}

// awaitError waits for a look with an error of a code, and returns it.
func (w *watcher) awaitError(code string) error {
	w.t.Helper()
	for {
		if l := w.next(); l.Err != nil && codeOf(l.Err) == code {
			return l.Err
		}
	}
}

// collection is where a namespace's slices are.
func collection(namespace string) string {
	return "/apis/discovery.k8s.io/v1/namespaces/" + namespace + "/endpointslices"
}

// slice is a slice with port http 8080. Endpoints are told as "10.1.0.1", "10.1.0.1 draining", "10.1.0.1 unready".
func slice(service, name string, endpoints ...string) map[string]any {
	list := []map[string]any{}
	for _, text := range endpoints {
		address, state, _ := strings.Cut(text, " ")
		list = append(list, map[string]any{
			"addresses": []string{address}, "zone": "a",
			"conditions": map[string]bool{"ready": state == "", "serving": state != "unready", "terminating": state == "draining"},
		})
	}
	return map[string]any{
		"metadata":    map[string]any{"name": name, "labels": map[string]string{"kubernetes.io/service-name": service}},
		"addressType": "IPv4", "endpoints": list,
		"ports": []map[string]any{{"name": "http", "port": 8080}},
	}
}

// create and the like write slices of a namespace.
func create(s *kubetest.Server, namespace string, slice map[string]any) {
	s.Create(collection(namespace), slice)
}

func replace(s *kubetest.Server, namespace string, slice map[string]any) {
	s.Replace(path(namespace, slice), slice)
}

func remove(s *kubetest.Server, namespace, name string) {
	s.Delete(collection(namespace) + "/" + name)
}

func path(namespace string, slice map[string]any) string {
	return fmt.Sprintf("%s/%s", collection(namespace), slice["metadata"].(map[string]any)["name"])
}

// ready is what a look at ready endpoints reads as.
func ready(addresses ...string) string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a + ":8080 ready a"
	}
	return strings.Join(out, ", ")
}

func orders(namespace string) Target {
	return Target{Namespace: namespace, Service: "orders", Port: "http"}
}

// as is a configuration by the kubeconfig of a user.
func as(s *kubetest.Server, user string) Config {
	return Config{Kubeconfig: &Kubeconfig{File: s.Kubeconfig(user)}}
}

// ended says whether Watch returned what it should.
func (w *watcher) ended(want error) {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(deadline):
		w.t.Fatal("Watch did not return")
	}
	if !errors.Is(w.err, want) {
		w.t.Errorf("Watch returned %v, want %v", w.err, want)
	}
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
