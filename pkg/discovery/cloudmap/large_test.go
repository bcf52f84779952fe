package cloudmap

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// TestTenThousand: more instances than one answer holds are all found, by pages, and less often.
func TestTenThousand(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		names := make([]string, 10000)
		for i := range names {
			names[i] = fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255)
		}
		names[7] += " unhealthy"
		f.register("shop/orders", names...)
		f.register("shop/payments", "10.200.0.1")
		f.register("other/orders", "10.200.0.2")
		s := open(t, f, Config{})
		w := follow(t, s, orders())
		first := w.next()
		if first.Err != nil || len(first.Endpoints) != 10000 || first.Endpoints[7].State != discovery.Draining || first.Endpoints[8].State != discovery.Ready {
			t.Fatalf("%d endpoints, %v", len(first.Endpoints), first.Err)
		}
		want := map[string]int64{"DiscoverInstances": 1, "ListNamespaces": 1, "ListServices": 1, "ListInstances": 100, "GetInstancesHealthStatus": 100}
		if got := s.Calls(); !maps.Equal(got, want) {
			t.Errorf("asked %v", got)
		}
		second := w.next()
		if took := second.At.Sub(first.At); len(second.Endpoints) != 10000 || took < 36*time.Second || took > 44*time.Second {
			t.Errorf("%d endpoints after %v", len(second.Endpoints), took)
		}
		want["ListInstances"], want["GetInstancesHealthStatus"] = 200, 200
		if got := s.Calls(); !maps.Equal(got, want) {
			t.Errorf("asked %v", got)
		}
		failOnPage(t, f, w)

		f.deregister("shop/orders", ids(names[100:])...)
		for len(w.next().Endpoints) != 100 {
		}
		last := w.next()
		if next := w.next(); len(next.Endpoints) != 100 || next.At.Sub(last.At) > DefaultPoll*11/10 || !slices.Equal(f.lastAsked(2), []string{"DiscoverInstances", "DiscoverInstances"}) {
			t.Errorf("a small service is not asked for as one: %v after %v", f.lastAsked(2), next.At.Sub(last.At))
		}
	})
}

// failOnPage: a look of which one page is missing is none.
func failOnPage(t *testing.T, f *fake, w *follower) {
	t.Helper()
	for _, action := range []string{"ListInstances", "GetInstancesHealthStatus"} {
		seen := 0
		f.failing(func(a, _ string) (int, string) {
			if a == action {
				if seen++; seen > 50 {
					return http.StatusBadRequest, "AccessDeniedException"
				}
			}
			return 0, ""
		})
		if l := w.next(); told(l) != "error aws_access_denied" || !strings.Contains(l.Err.Error(), "allow servicediscovery:"+action) || l.Endpoints != nil {
			t.Errorf("%s: %v, %d endpoints", action, l.Err, len(l.Endpoints))
		}
	}
	f.failing(nil)
	if l := w.next(); len(l.Endpoints) != 10000 {
		t.Errorf("then %v", l.Err)
	}
}

// TestALargeServiceIsCreatedAnew: the ID that was looked up is forgotten with the service.
func TestALargeServiceIsCreatedAnew(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprintf("10.1.%d.%d", i>>8, i&255)
		}
		f.register("shop/orders", names...)
		s := open(t, f, Config{})
		w := follow(t, s, orders())
		if l := w.next(); len(l.Endpoints) != 1000 {
			t.Fatal(told(l))
		}
		f.remove("shop/orders")
		w.await("error cloudmap_namespace_missing")
		f.register("shop/orders", names[:999]...)
		for len(w.next().Endpoints) != 999 {
		}
		if got := s.Calls(); got["ListNamespaces"] < 2 || got["ListServices"] < 2 {
			t.Errorf("asked %v", got)
		}
	})
}

// TestEndlessPages: an AWS that has always one more page is given up on.
func TestEndlessPages(t *testing.T) {
	asked := 0
	err := pages("ListServices", func(*string) (*string, error) {
		asked++
		next := "again"
		return &next, nil
	})
	if codeOf(err) != "cloudmap_too_many" || asked != maxPages {
		t.Errorf("%d pages: %v", asked, err)
	}
}

func ids(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i], _, _ = strings.Cut(text, " ")
	}
	return out
}

// lastAsked returns the last actions.
func (f *fake) lastAsked(n int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[max(0, len(f.asked)-n):])
}
