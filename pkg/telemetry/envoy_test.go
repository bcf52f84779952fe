package telemetry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

var protocols = []string{"http1", "http2"}

// away is the change that takes the requests for orders from eks to ecs.
func away(called time.Time) telemetry.Change {
	return telemetry.Change{Fleet: "default", Service: "orders", Away: []string{"eks"}, Toward: []string{"ecs"}, Called: called}
}

// rollBack sends everything to ecs, follows it, and returns the first state that satisfies ok.
func (h *house) rollBack(change telemetry.Change, ok func(telemetry.ProofState) bool) telemetry.ProofState {
	h.t.Helper()
	proof := h.telemetry.Follow(change)
	defer proof.Close()
	w := h.flip(0)
	h.await(w)
	for id, at := range w.Acks() {
		proof.Acked(id, at)
	}
	return h.awaitProof(proof, change, ok)
}

// awaitProof returns the first state that satisfies ok, and logs each one that differs from the one before.
func (h *house) awaitProof(proof *telemetry.Proof, change telemetry.Change, ok func(telemetry.ProofState) bool) telemetry.ProofState {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(envoytest.Deadline)
	var last telemetry.ProofState
	for {
		now := time.Now()
		state := proof.State(now)
		if state.State != last.State || state.Reason != last.Reason {
			h.t.Logf("+%.3f s: %s, since %.3f s, resolution %s, open %v: %s", now.Sub(change.Called).Seconds(), state.State, state.Since.Seconds(), state.Resolution, state.OpenStreams, state.Reason)
		}
		if last = state; ok(state) {
			return state
		}
		select {
		case <-proof.Changed():
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("waited too long; last %+v; %+v; %+v", last, h.telemetry.Proxies("default", now), h.telemetry.Stats())
		}
	}
}

// awaitTraffic waits until what an origin got in the last seconds satisfies ok.
func (h *house) awaitTraffic(origin string, ok func(telemetry.Traffic) bool) telemetry.Traffic {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), envoytest.Deadline)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := h.telemetry.Traffic("default", "orders", origin, time.Now(), 10*time.Second)
		if ok(got) {
			return got
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("traffic of %s stays %+v; %+v", origin, got, h.telemetry.Stats())
		}
	}
}

// awaitFlushes waits until n more flushes have arrived, of whatever proxy.
func (h *house) awaitFlushes(n uint64) {
	h.t.Helper()
	before := h.telemetry.Stats().Messages
	h.awaitTraffic("eks", func(telemetry.Traffic) bool { return h.telemetry.Stats().Messages >= before+n })
}

func is(want telemetry.State) func(telemetry.ProofState) bool {
	return func(s telemetry.ProofState) bool { return s.State == want }
}

func requests(least uint64) func(telemetry.Traffic) bool {
	return func(t telemetry.Traffic) bool { return t.Requests >= least }
}

// onTheWay is how long a request may take from the pick to the origin's log on a busy machine.
const onTheWay = time.Second

// checkTruth compares a proof with what the origin itself saw.
func (h *house) checkTruth(change telemetry.Change, s telemetry.ProofState, calledBy time.Duration) {
	h.t.Helper()
	if last, ok := h.eks.Last("orders"); ok && last-calledBy > s.Since+onTheWay {
		h.t.Errorf("proven since %s after the call, but eks got a request %s after it", s.Since, last-calledBy)
	}
}

// states in which eks may be when the traffic is taken from it.
var states = []origin.State{origin.Serving, origin.Refusing, origin.BlackHole, origin.Resetting}

func TestRollbackIsProven(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, protocol := range protocols {
			for _, state := range states {
				t.Run(fmt.Sprint(protocol, " ", state), func(t *testing.T) {
					t.Parallel()
					h := newHouse(t, protocol)
					h.apply(5000)
					p := h.proxy(version, "p1")
					p.load(t)
					h.awaitTraffic("eks", requests(100))
					h.set(state)
					h.awaitFlushes(3)
					change, calledBy := away(time.Now()), origin.Now()
					s := h.rollBack(change, is(telemetry.Proven))
					h.checkTruth(change, s, calledBy)
					if s.Count(telemetry.Proven) != 1 || s.Resolution <= 0 || s.Reason != "" {
						t.Errorf("%+v", s)
					}
				})
			}
		}
	})
}

// A lever that a proxy acknowledged and does not use: requests go on picking eks. No state of eks may make that look proven.
func TestNeverProvenWhilePicked(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, protocol := range protocols {
			for _, state := range states {
				for _, when := range []string{"before", "at the call"} {
					if state == origin.Serving && when == "before" {
						continue // it is serving anyway
					}
					t.Run(fmt.Sprint(protocol, " ", state, " ", when), func(t *testing.T) {
						t.Parallel()
						h := newHouse(t, protocol)
						h.apply(5000)
						p := h.proxy(version, "p1")
						p.load(t)
						h.awaitTraffic("eks", requests(100))
						if when == "before" {
							h.set(state)
							h.awaitFlushes(3)
						}
						change := away(time.Now())
						proof := h.telemetry.Follow(change)
						defer proof.Close()
						h.set(state)
						proof.Acked("p1", time.Now())
						before := h.telemetry.Stats().Messages
						h.awaitProof(proof, change, func(s telemetry.ProofState) bool {
							if (s.State == telemetry.Proven || s.State == telemetry.Silent) && !p.stalled(change.Called) {
								t.Fatalf("%s while requests pick eks", s.State)
							}
							return h.telemetry.Stats().Messages >= before+4
						})
					})
				}
			}
		}
	})
}

func TestProxyWithoutTrafficIsSilent(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		h := newHouse(t, "http1")
		h.apply(5000)
		h.proxy(version, "p1")
		h.awaitTraffic("eks", func(x telemetry.Traffic) bool { return x.Reporting == 1 })
		s := h.rollBack(away(time.Now()), is(telemetry.Silent))
		if s.Count(telemetry.Silent) != 1 || s.Since != 0 {
			t.Errorf("%+v", s)
		}
		// Of two proxies the one that proves less decides.
		q := h.proxy(version, "p2")
		if got := q.get(t.Context(), ""); got != "200 ecs" {
			t.Fatal(got)
		}
		q.load(t)
		s = h.rollBack(away(time.Now()), func(s telemetry.ProofState) bool {
			return s.Count(telemetry.Proven) == 1 && s.Count(telemetry.Silent) == 1
		})
		if s.State != telemetry.Silent {
			t.Errorf("%+v", s)
		}
	})
}

func TestOverrideIsUnknown(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		h := newHouse(t, "http1")
		h.apply(5000)
		p := h.proxy(version, "p1")
		p.load(t)
		h.awaitTraffic("eks", requests(100))
		if err := p.ModifyRuntime(t.Context(), map[string]string{"w.orders.orders/ecs": "0", "w.orders.orders/eks": "10000"}); err != nil {
			t.Fatal(err)
		}
		change := away(time.Now())
		s := h.rollBack(change, func(s telemetry.ProofState) bool {
			if s.State == telemetry.Proven || s.State == telemetry.Silent {
				t.Fatalf("%s with an override", s.State)
			}
			return s.State == telemetry.Unknown && h.telemetry.Override("default", "p1")
		})
		if s.Count(telemetry.Unknown) != 1 {
			t.Errorf("%+v", s)
		}
		if err := p.ModifyRuntime(t.Context(), map[string]string{"w.orders.orders/ecs": "", "w.orders.orders/eks": ""}); err != nil {
			t.Fatal(err)
		}
		h.rollBack(away(time.Now()), is(telemetry.Proven))
		if h.telemetry.Override("default", "p1") {
			t.Error("the override is gone, and still shown")
		}
	})
}
