package upgrade

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const (
	// overHTTP2 is the service of which one origin is asked by HTTP/2.
	overHTTP2 = "s30"
	// services is how many there are: with so few, sending all of them again is far more than what a stream costs.
	services = 50
	// streamBytes is what a proxy may be sent when its stream begins anew and nothing has changed: headers, empty answers, pings, and the answers to
	// its statistics. All that it has is more than 100,000.
	streamBytes = 2000
)

// TestThereAndBack upgrades the control plane of a fleet that serves, takes it back, and upgrades it again; and restarts it. The proxies are Envoys of
// both versions with bootstraps of both versions.
func TestThereAndBack(t *testing.T) {
	if before.same {
		t.Log("the version before is today's source under another name: what is shown holds for restarts only")
	}
	w := newWorld(t, before)
	var docs []*crossfadev1.Document
	for i := range services {
		docs = append(docs, w.service(fmt.Sprintf("s%d", i), int32(i*100)))
	}
	if _, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		t.Fatal(err)
	}
	for _, envoy := range []string{envoybin.Newest, envoybin.Oldest} {
		w.addProxy(before, envoy)
		w.addProxy(today, envoy)
	}
	w.settled()
	first := map[string]int64{}
	w.quiet()
	for _, p := range w.proxies {
		first[p.name] = p.counter.down.Load()
	}
	stop := w.load(overHTTP2)
	running, weights := before, []int32{700}
	for i, s := range steps() {
		w.step(i, running, s.to, first)
		running = s.to
		if s.move {
			weights = append(weights, int32(1000+i))
			w.move(1000 + int32(i))
		}
	}
	report := stop()
	if report.Failed > 0 || report.Done < 500 || report.ByOrigin["ecs"] == 0 || report.ByOrigin["eks"] == 0 {
		t.Errorf("%d of %d requests failed: %v; by origin %v", report.Failed, report.Done, report.Failures, report.ByOrigin)
	}
	t.Logf("%d requests through %d proxies, %d failed", report.Done, len(w.proxies), report.Failed)
	w.checkHistory(weights)
}

// step is a control plane that takes another's place.
type step struct {
	to   version
	move bool // then change weights: proxies have it among recent changes for 5 s and more, and the next step waits for that
}

// steps are there, a restart, and back; with CROSSFADE_FULL=1 a restart of both, there again, and a change after each.
func steps() []step {
	if os.Getenv("CROSSFADE_FULL") != "" {
		return []step{{today, true}, {today, true}, {before, true}, {before, true}, {today, true}}
	}
	return []step{{today, false}, {today, true}, {before, true}}
}

// step replaces the control plane, and holds what proxies were sent, and have, against what they had.
func (w *world) step(i int, from, to version, first map[string]int64) {
	w.t.Helper()
	type state struct {
		down, connections int64
		levers            map[string]string
		resources         map[string]taken
	}
	was := map[string]state{}
	for _, p := range w.proxies {
		w.folded(p)
		was[p.name] = state{p.counter.down.Load(), p.counter.connections.Load(), w.levers(p), w.resources(p)}
	}
	w.replace(to)
	if (w.Server.Version == before.name) != (to == before) {
		w.t.Fatalf("%s runs, not %s", w.Server.Version, to.name)
	}
	w.settled()
	allowed := meant
	if from == to || before.same {
		allowed = nil
	}
	w.quiet()
	for _, p := range w.proxies {
		had := was[p.name]
		if p.counter.connections.Load() == had.connections {
			w.t.Errorf("%s never connected anew: nothing is shown of it", p.name)
		}
		bad, changed := compare(had.resources, w.resources(p), allowed)
		for _, what := range bad {
			w.t.Errorf("step %d, %s to %s: %s: %s", i+1, from.name, to.name, p.name, what)
		}
		sent := p.counter.down.Load() - had.down
		w.t.Logf("step %d, %s to %s: %s (Envoy %s) was sent %d bytes; %d at first", i+1, from.name, to.name, p.name, p.Binary.Version, sent, first[p.name])
		if sent > int64(streamBytes+changed) {
			w.t.Errorf("step %d: %s was sent %d bytes, and what changed has %d as JSON: it got again what it had", i+1, p.name, sent, changed)
		}
		if levers := w.levers(p); !maps.Equal(had.levers, levers) {
			w.t.Errorf("step %d: the weights of %s were %v, and are %v", i+1, p.name, had.levers, levers)
		}
	}
}

// move changes a weight, and sees that every proxy has it.
func (w *world) move(weight int32) {
	w.t.Helper()
	if _, err := w.API.SetSplit(w.t.Context(), &crossfadev1.SetSplitRequest{
		Service: "s7", Weights: map[string]int32{"eks": weight},
		Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(30 * time.Second), Reason: "a step"},
	}); err != nil {
		w.t.Fatal(err)
	}
	w.settled()
	for _, p := range w.proxies {
		if got := w.levers(p)[policy.WeightKey("s7", "eks")]; got != fmt.Sprint(weight) {
			w.t.Errorf("%s has weight %q for s7, want %d", p.name, got, weight)
		}
	}
}

// checkHistory sees that what every version wrote is there: the weights of a service, the oldest first.
func (w *world) checkHistory(want []int32) {
	w.t.Helper()
	page, err := w.API.ListHistory(w.t.Context(), &crossfadev1.ListHistoryRequest{Service: "s7", PageSize: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var got []int32
	for _, r := range slices.Backward(page.GetItems()) {
		got = append(got, r.GetAfter().GetService().GetSplit().GetWeights()["eks"])
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("the weights of s7 were %v; want %v", got, want)
	}
}

// load sends requests for a service through every proxy until the returned function is called, which returns the sum.
func (w *world) load(service string) (stop func() *loadgen.Report) {
	w.t.Helper()
	var runs []*loadgen.Run
	for _, p := range w.proxies {
		r, err := loadgen.Start(w.t.Context(), loadgen.Config{
			Target: fmt.Sprintf("%s:%d", p.host, w.port), Rate: 50, Duration: 10 * time.Minute, Connections: 32, Timeout: deadline,
			Request: loadgen.Request{Host: service + ".test", Path: "/"},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { r.Stop(); r.Wait() })
		runs = append(runs, r)
	}
	return func() *loadgen.Report {
		sum := &loadgen.Report{Failures: map[string]uint64{}, ByOrigin: map[string]uint64{}}
		for _, r := range runs {
			r.Stop()
			report := r.Wait()
			sum.Done += report.Done
			sum.Failed += report.Failed + report.OriginErrors
			for reason, n := range report.Failures {
				sum.Failures[reason] += n
			}
			for o, n := range report.ByOrigin {
				sum.ByOrigin[o] += n
			}
		}
		return sum
	}
}
