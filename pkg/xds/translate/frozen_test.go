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

// letsGo bounds for how long a comparator that froze can hold what it was sent: a check that had just passed, one that times out, and room.
const letsGo = 5 * time.Second

// unheld bounds how long a request takes that is not held: one that is, is held for 2 s or more. To both bounds comes what the same requests
// took while nothing was wrong, which is little unless the machine is busy.
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

		// More at once than there are connections to the comparator.
		load := func(name string) (crowd, uploads func() []time.Duration) {
			crowd = l.atOnce(70, func(int) request {
				return request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}
			})
			return crowd, l.atOnce(8, func(i int) request { return uploadOf(fmt.Sprint(name, "-", i), 4<<20) })
		}
		crowd, uploads := load("well")
		well := max(slices.Max(crowd()), slices.Max(uploads()))

		l.comparator.freeze()
		start := time.Now()
		crowd, uploads = load("frozen")
		var gets, posts []time.Duration
		for time.Since(start) < 2*time.Second {
			gets = append(gets, l.took("GET", request{host: "orders.test", path: "/"}))
			posts = append(posts, l.took("POST", request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}))
		}
		l.awaitUnwell(true)
		unwell := time.Since(start)
		together, held := crowd(), uploads()
		after := l.took("a long upload after", uploadOf("after", 4<<20))
		t.Logf("%v while it was well; unwell after %v; of %d GET and POST of 256 KiB the longest took %v and %v; the longest of 70 such POST at once %v; 8 uploads of 4 MiB took %v; one after that %v",
			well.Round(time.Millisecond), unwell.Round(time.Millisecond), len(gets), slices.Max(gets).Round(time.Millisecond), slices.Max(posts).Round(time.Millisecond),
			slices.Max(together).Round(time.Millisecond), rounded(held), after.Round(time.Millisecond))
		for what, most := range map[string]time.Duration{
			"GET": slices.Max(gets), "POST of 256 KiB": slices.Max(posts), "POST of 256 KiB, 70 at once": slices.Max(together), "an upload after": after,
		} {
			if most > unheld+well {
				t.Errorf("%s took %v, and %v while the comparator was well", what, most, well)
			}
		}
		if most := slices.Max(held); most > letsGo+well {
			t.Errorf("an upload was held for %v, and took %v while the comparator was well", most, well)
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
		longest := func(what string, each int) (longest time.Duration) {
			t.Helper()
			for range each {
				longest = max(longest, l.took(what, request{host: "orders.test", path: "/"}),
					l.took(what, request{method: "POST", host: "orders.test", path: "/", body: ofLength(policy.MaxMirrorBody)}), l.took(what, uploadOf("none", 4<<20)))
			}
			t.Logf("%s: the longest of %d took %v", what, 3*each, longest.Round(time.Millisecond))
			return longest
		}
		well := longest("well", 30)
		undisturbed := func(what string) {
			t.Helper()
			if took := longest(what, 100); took > unheld+well {
				t.Errorf("%s: %v, and %v while the comparator was well", what, took, well)
			}
		}
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
		before := len(l.comparator.got())
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
