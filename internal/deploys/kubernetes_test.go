package deploys

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
)

// TestKubernetes runs what needs an API server against one.
func TestKubernetes(t *testing.T) {
	s := kubetest.Start(t)
	pods := func(t *testing.T, n int) *Kubernetes {
		k, err := NewKubernetes(Cluster{Kubeconfig: s.Kubeconfig(kubetest.Admin), Namespace: s.Namespace("deploys")}, spec(Life{Start: time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		if err := k.Scale(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return k
	}
	t.Run("slices of at most a hundred", func(t *testing.T) {
		k := pods(t, 230)
		if sizes, l := look(t, k); !slices.Equal(sizes, []int{100, 100, 30}) || l.ready != 230 || len(l.zones) != 3 {
			t.Errorf("slices of %v, %+v", sizes, l)
		}
		if err := k.Scale(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if _, l := look(t, k); l.ready != 5 || l.all != 5 {
			t.Errorf("scaled down: %+v", l)
		}
	})
	t.Run("a rolling replacement", func(t *testing.T) {
		k := pods(t, 6)
		k.SetLife(Life{App: App{LameDuck: 200 * time.Millisecond}, Start: 50 * time.Millisecond})
		replaced := make(chan error, 1)
		go func() { replaced <- k.Replace(t.Context(), Rollout{Surge: 2}) }()
		terminating, pending := 0, 0
		for done := false; !done; {
			select {
			case err := <-replaced:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
			_, l := look(t, k)
			terminating, pending = max(terminating, l.terminating), max(pending, l.all-l.ready-l.terminating)
			if l.ready < 6 || l.ready > 8 {
				t.Fatalf("%+v", l)
			}
		}
		if _, l := look(t, k); l.ready != 6 || l.all != 6 || terminating == 0 || pending == 0 {
			t.Errorf("in the end %+v; at most %d terminated and %d were pending at once", l, terminating, pending)
		}
		for i, r := range k.All() {
			if (dial(r) == nil) != (i >= 6) {
				t.Errorf("%s: %v", r.ID, dial(r))
			}
		}
	})
	t.Run("hidden", func(t *testing.T) {
		k := pods(t, 2)
		for _, hidden := range []bool{true, false} {
			if err := k.Hide(t.Context(), hidden); err != nil {
				t.Fatal(err)
			}
			if _, l := look(t, k); (l.all == 0) != hidden {
				t.Errorf("hidden %t: %+v", hidden, l)
			}
		}
	})
	t.Run("while the server is away", func(t *testing.T) {
		k := pods(t, 2)
		s.Kill()
		replaced := make(chan error, 1)
		go func() { replaced <- k.Replace(t.Context(), Rollout{}) }()
		s.Restart()
		if err := <-replaced; err != nil {
			t.Fatal(err)
		}
		if _, l := look(t, k); l.ready != 2 || l.all != 2 {
			t.Errorf("%+v", l)
		}
	})
}

// seen is what the slices of a namespace say.
type seen struct {
	all, ready, terminating int
	zones                   map[string]bool
}

// look reads the slices.
func look(t *testing.T, k *Kubernetes) (sizes []int, l seen) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.api.url+"/apis/discovery.k8s.io/v1/namespaces/"+k.namespace+"/endpointslices", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+k.api.token)
	resp, err := k.api.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			Endpoints []struct {
				Zone       string
				Conditions struct{ Ready, Serving, Terminating bool }
			}
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	l.zones = map[string]bool{}
	for _, s := range list.Items {
		sizes = append(sizes, len(s.Endpoints))
		for _, e := range s.Endpoints {
			l.all++
			l.zones[e.Zone] = true
			switch c := e.Conditions; {
			case c.Ready:
				l.ready++
			case c.Terminating && c.Serving:
				l.terminating++
			}
		}
	}
	return sizes, l
}
