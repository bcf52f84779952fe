package translate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// letsGo bounds for how long a comparator that froze can hold what it was sent: a check that had just passed, one that times out, and room for
// a busy machine.
const letsGo = 5 * time.Second

// unheld bounds how long a request takes that is not held, on a busy machine: one that is, is held for 2 s or more.
const unheld = 1900 * time.Millisecond

// uploadOf is a unary gRPC request that is copied, of unknown length.
func uploadOf(id string, bytes int) request {
	return request{
		method: "POST", host: "orders.test", path: "/shop.Orders/Get", body: unknownLength(bytes), client: overHTTP2,
		header: headers("Content-Type", "application/grpc", "Te", "trailers", "X-Id", id),
	}
}

// took sends a request that must be answered 200, and says how long that took.
func (l *lab) took(what string, r request) time.Duration {
	l.t.Helper()
	start := time.Now()
	if got := l.send(r); got.StatusCode != 200 || got.origin() == "" {
		l.t.Errorf("%s: %s from %q", what, got.Status, got.origin())
	}
	return time.Since(start)
}

// atOnce begins requests together; what it returns waits for all, and says how long each took.
func (l *lab) atOnce(n int, send func(int) request) (wait func() []time.Duration) {
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := send(i)
			took[i] = l.took(fmt.Sprint(r.path, " ", i), r)
		})
	}
	return func() []time.Duration {
		all.Wait()
		slices.Sort(took)
		return took
	}
}

// awaitUnwell waits until Envoy takes no comparator for well, or one.
func (l *lab) awaitUnwell(unwell bool) {
	l.t.Helper()
	l.eventually(fmt.Sprint("a comparator that is unwell: ", unwell), func() bool {
		hosts, err := l.envoy.Hosts(context.Background())
		if err != nil {
			return false
		}
		i := slices.IndexFunc(hosts, isComparator)
		return i >= 0 && len(hosts[i].Failing) > 0 == unwell
	})
}

func isComparator(h envoyproc.Host) bool { return h.Cluster == policy.ComparatorCluster }

// TestFrozenComparator freezes the comparator while requests are copied to it: short ones do not notice, long uploads of named gRPC methods
// are held until the health check fails, once. When it thaws, copies come again.
func TestFrozenComparator(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+halves+mirrored)
		l.readUploads()
		l.awaitComparator()
		l.took("a long upload before", uploadOf("before", 4<<20))
		if c := l.awaitCopy("before"); c.length != 4<<20 {
			t.Errorf("of the copy came %d bytes", c.length)
		}

		l.comparator.freeze()
		start := time.Now()
		// More at once than there are connections to the comparator.
		crowd := l.atOnce(70, func(int) request {
			return request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}
		})
		uploads := l.atOnce(8, func(i int) request { return uploadOf(fmt.Sprint("frozen-", i), 4<<20) })
		var gets, posts []time.Duration
		for time.Since(start) < 2*time.Second {
			gets = append(gets, l.took("GET", request{host: "orders.test", path: "/"}))
			posts = append(posts, l.took("POST", request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}))
		}
		l.awaitUnwell(true)
		unwell := time.Since(start)
		together, held := crowd(), uploads()
		after := l.took("a long upload after", uploadOf("after", 4<<20))
		t.Logf("unwell after %v; of %d GET and POST of 256 KiB the longest took %v and %v; the longest of 70 such POST at once %v; 8 uploads of 4 MiB took %v; one after that %v",
			unwell.Round(time.Millisecond), len(gets), slices.Max(gets).Round(time.Millisecond), slices.Max(posts).Round(time.Millisecond),
			slices.Max(together).Round(time.Millisecond), rounded(held), after.Round(time.Millisecond))
		for what, most := range map[string]time.Duration{
			"GET": slices.Max(gets), "POST of 256 KiB": slices.Max(posts), "POST of 256 KiB, 70 at once": slices.Max(together), "an upload after": after,
		} {
			if most > unheld {
				t.Errorf("%s took %v", what, most)
			}
		}
		if most := slices.Max(held); most > letsGo {
			t.Errorf("an upload was held for %v", most)
		}

		l.comparator.thaw()
		l.awaitUnwell(false)
		l.took("GET", request{host: "orders.test", path: "/", header: headers("X-Id", "thawed")})
		l.awaitCopy("thawed")
	})
}

func rounded(all []time.Duration) []time.Duration {
	for i := range all {
		all[i] = all[i].Round(time.Millisecond)
	}
	return all
}

// TestNoComparator: one that is dead, that says it wants no copies, or that is not there, costs nothing.
func TestNoComparator(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+halves+mirrored)
		l.readUploads()
		l.awaitComparator()
		undisturbed := func(what string) {
			t.Helper()
			var longest time.Duration
			for range 100 {
				longest = max(longest, l.took(what, request{host: "orders.test", path: "/"}),
					l.took(what, request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}), l.took(what, uploadOf("none", 4<<20)))
			}
			if t.Logf("%s: the longest of 300 took %v", what, longest.Round(time.Millisecond)); longest > unheld {
				t.Errorf("%s: %v", what, longest)
			}
		}
		before := len(l.comparator.got())
		dead := netip.MustParseAddrPort(envoytest.Port(t).Addr())
		l.setComparators(dead)
		l.awaitHost(policy.ComparatorCluster, dead.String())
		undisturbed("dead")
		l.setComparators()
		l.eventually("no comparator", func() bool {
			hosts, err := l.envoy.Hosts(context.Background())
			return err == nil && !slices.ContainsFunc(hosts, isComparator)
		})
		undisturbed("none")
		l.comparator.refuse(true)
		l.setComparators(l.comparator.address)
		l.awaitHost(policy.ComparatorCluster, l.comparator.address.String())
		undisturbed("not ready")
		if got := len(l.comparator.got()) - before; got > 0 {
			t.Errorf("%d copies came to one that is not ready", got)
		}
		l.comparator.refuse(false)
		l.awaitUnwell(false)
		l.took("GET", request{host: "orders.test", path: "/", header: http.Header{"X-Id": {"ready"}}})
		l.awaitCopy("ready")
	})
}
