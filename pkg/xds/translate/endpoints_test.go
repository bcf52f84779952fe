package translate_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestSlowStart: the share of a new endpoint rises over the window from next to nothing to its own, and where all are new, all share alike.
func TestSlowStart(t *testing.T) {
	const window = 2 * time.Second
	docs := strings.ReplaceAll(twoOrigins, "{name: ecs,", "{name: ecs, slowStart: "+window.String()+",")
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel() // it is mostly waiting
		l := newLab(t, version, docs)
		tasks := startTasks(t, "a", "b", "c")
		l.put("ecs", tasks[:2])
		if got := l.spread(100); got["a"] < 40 || got["b"] < 40 {
			t.Errorf("all are new: %v", got)
		}
		after := func(begin time.Time, d time.Duration) {
			l.eventually("time to go by", func() bool { return time.Since(begin) > d })
		}
		after(time.Now(), window)
		l.put("ecs", tasks)
		begin := time.Now()
		first := l.spread(200)["c"]
		after(begin, window/2)
		middle := l.spread(200)["c"]
		after(begin, window+100*time.Millisecond)
		last := l.spread(200)["c"]
		t.Logf("of 200 requests a new third endpoint got %d, half the window later %d, at its end %d", first, middle, last)
		if first == 0 || first > 30 || middle <= first || middle > 60 || last < 60 {
			t.Errorf("of 200 requests a new third endpoint got %d, half the window later %d, at its end %d", first, middle, last)
		}
	})
}

// TestManyEndpoints: as many as an origin may have, and a change of one. The figures are in docs/design/endpoints.md.
func TestManyEndpoints(t *testing.T) {
	const bound = 5 * time.Second // ten to a hundred times what it takes
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins)
		many := make([]translate.Endpoint, policy.MaxEndpoints)
		for i := range many {
			many[i] = translate.Endpoint{
				Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 200, byte(i >> 8), byte(i)}), 8080), Zone: "eu-central-1" + string(rune('a'+i%3)),
			}
		}
		apply := func(what string) {
			begin := time.Now()
			r := translate.Endpoints("orders", "eks", many)
			made := time.Since(begin)
			l.ads.Set(r)
			l.ads.AwaitAcked(t)
			took := time.Since(begin)
			t.Logf("%s: %d bytes, made in %v, acknowledged after %v", what, len(r.Body.Value), made, took)
			if took > bound {
				t.Errorf("%s: acknowledged after %v", what, took)
			}
		}
		apply("all")
		many[5000].Draining = true
		apply("one drains")
		many = slices.Delete(many, 5000, 5001)
		apply("one is gone")
	})
}
