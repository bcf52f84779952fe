package telemetry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Whatever becomes of a request, that it picked an origin shows in the counters on which proofs rest.
func TestFailedPicksCount(t *testing.T) {
	breakers := func(set func(*crossfadev1.CircuitBreakers)) func(*crossfadev1.Service) {
		return func(s *crossfadev1.Service) {
			s.Origins[1].CircuitBreakers = &crossfadev1.CircuitBreakers{}
			set(s.Origins[1].CircuitBreakers)
		}
	}
	cases := []struct {
		name    string
		edit    func(*crossfadev1.Service)
		prepare func(t *testing.T, h *house, p *proxy)
		count   func(telemetry.Counts) uint64 // must grow by one for each request
	}{
		{
			name: "refused", prepare: func(_ *testing.T, h *house, _ *proxy) { h.set(origin.Refusing) },
			count: func(c telemetry.Counts) uint64 { return c.Queued },
		},
		{
			name: "black hole", prepare: func(_ *testing.T, h *house, _ *proxy) { h.set(origin.BlackHole) },
			count: func(c telemetry.Counts) uint64 { return c.Queued },
		},
		{
			name: "no endpoint", prepare: func(_ *testing.T, h *house, _ *proxy) {
				h.await(h.publish(xds.Update{Endpoints: []translate.Resource{translate.Endpoints("orders", "eks", nil)}}))
			},
			count: func(c telemetry.Counts) uint64 { return c.NoneHealthy },
		},
		{
			name: "too many requests",
			edit: breakers(func(b *crossfadev1.CircuitBreakers) { b.MaxRequests = 1 }),
			prepare: func(t *testing.T, h *house, p *proxy) {
				p.hold(t)
				h.awaitCounts(func(c telemetry.Counts) bool { return c.Started == 1 })
			},
			count: func(c telemetry.Counts) uint64 { return c.Overflow },
		},
		{
			name: "too many waiting",
			edit: func(s *crossfadev1.Service) {
				s.Origins[1].ConnectTimeout = durationpb.New(time.Minute)
				s.Origins[1].CircuitBreakers = &crossfadev1.CircuitBreakers{MaxPendingRequests: 1}
			},
			prepare: func(t *testing.T, h *house, p *proxy) {
				h.set(origin.BlackHole)
				p.hold(t)
				h.awaitCounts(func(c telemetry.Counts) bool { return c.Queued == 1 })
			},
			count: func(c telemetry.Counts) uint64 { return c.Overflow },
		},
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, protocol := range protocols {
			for _, c := range cases {
				t.Run(protocol+" "+c.name, func(t *testing.T) {
					t.Parallel()
					h := newHouse(t, protocol)
					h.edit = c.edit
					h.apply(10_000)
					p := h.proxy(version, "p1")
					h.awaitFlushes(2)
					c.prepare(t, h, p)
					h.awaitFlushes(2)
					before := h.counts("eks")
					const n = 3
					var all sync.WaitGroup
					for range n {
						all.Go(func() {
							if got := p.get(t.Context(), ""); !strings.HasPrefix(got, "503") {
								t.Errorf("answered %q", got)
							}
						})
					}
					all.Wait()
					h.awaitCounts(func(c telemetry.Counts) bool { return c.Class[5] >= before.Class[5]+n })
					after := h.counts("eks")
					t.Logf("before %+v\nafter  %+v", before, after)
					if got := c.count(after) - c.count(before); got < n {
						t.Errorf("%d of %d requests show", got, n)
					}
				})
			}
		}
	})
}

// counts returns the totals of an origin.
func (h *house) counts(origin string) telemetry.Counts {
	for _, total := range h.telemetry.Totals() {
		if total.Service == "orders" && total.Origin == origin {
			return total.Counts
		}
	}
	return telemetry.Counts{}
}

// awaitCounts waits for what eks got in all.
func (h *house) awaitCounts(ok func(telemetry.Counts) bool) {
	h.t.Helper()
	h.awaitTraffic("eks", func(telemetry.Traffic) bool { return ok(h.counts("eks")) })
}

// hold sends a request that is open until the test ends.
func (p *proxy) hold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var held sync.WaitGroup
	t.Cleanup(func() { cancel(); held.Wait() })
	held.Go(func() { p.get(ctx, "delay=60s") })
}
