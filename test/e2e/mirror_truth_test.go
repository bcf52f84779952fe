package e2e

import (
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/truth"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// TestMirrorFindsTheTruth: of two origins whose differences and noise are drawn from a seed of this moment, asked through real Envoys over
// HTTP/1.1 and gRPC, the report names every difference and nothing else; what it counts is what the origins' logs say.
func TestMirrorFindsTheTruth(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version)
		all := l.truth(truth.Config{World: shadowtest.Options{Endpoints: 1, Rate: 1, Noise: 0.1, Noisy: 10}})
		l.examine("all-http", all, truth.HTTP, 60, 40)
		l.examine("all-grpc", all, truth.GRPC, 60, 10).grpc = &crossfadev1.MirrorGrpc{Descriptors: shadowtest.Descriptors()}
		l.examine("bare-grpc", all, truth.GRPC, 60, 10)
		if version == envoybin.Newest { // it takes its time, and nothing of it depends on the version
			some := l.truth(truth.Config{World: shadowtest.Options{Endpoints: 1, Rate: 0.1, Noise: 0.1, Noisy: 10}})
			l.examine("some-http", some, truth.HTTP, 700, 150)
			l.examine("some-grpc", some, truth.GRPC, 700, 20).grpc = &crossfadev1.MirrorGrpc{Reflection: true}
		}
		stop := l.start()
		l.until("enough pairs are compared", 6*time.Minute, (*examined).enough)
		l.finish(stop)
		kinds := map[string]bool{}
		for _, e := range l.all {
			e.holdFindings(t, kinds)
			e.holdCounts(t)
		}
		if len(kinds) < 12 {
			t.Errorf("only %d kinds of differences were found: %v", len(kinds), kinds)
		}
	})
}

// holdFindings holds what is reported against what is planted.
func (e *examined) holdFindings(t *testing.T, kinds map[string]bool) {
	t.Helper()
	var found []shadowtest.Place
	for _, d := range e.report.GetDifferences() {
		if d.GetState() == "finding" {
			found = append(found, shadowtest.Place{Endpoint: d.GetEndpoint(), Kind: d.GetKind(), Path: d.GetPath()})
			kinds[d.GetKind()] = true
		}
	}
	planted := e.planted()
	missed, invented := truth.Hold(planted, found)
	t.Logf("%s: %d of %d found; %s", e.name, len(planted)-len(missed), len(planted), summaryOf(e.report))
	if len(missed) > 0 || len(invented) > 0 {
		t.Errorf("%s: missed %v, invented %v", e.name, missed, invented)
	}
	if v := e.report.GetVerdict(); v != "Fail" {
		t.Errorf("%s: the verdict is %s", e.name, v)
	}
}

// holdCounts holds the sum of a report, and the origins' logs against it: both were asked for what counts and for what was dropped because
// the legs did not start together, and for nothing else.
func (e *examined) holdCounts(t *testing.T) {
	t.Helper()
	r := e.report
	sum := judged(r) + r.GetAnswered()
	asked := sum + r.GetDropped()["late"]
	for _, n := range r.GetDropped() {
		sum += n
	}
	if sum != r.GetMirrored() || r.GetLost() != 0 {
		t.Errorf("%s: the sum is %d: %s", e.name, sum, summaryOf(r))
	}
	control, candidate := e.truth.Control.Log(), e.truth.Candidate.Log()
	toControl, toCandidate := int64(control.Shadow[e.name]), int64(candidate.Shadow[e.name])
	described := int64(0)
	if e.grpc.GetReflection() {
		described = int64(control.Describe)
	}
	if told := r.GetAsked(); told["candidate"] != toCandidate || told["control"] != toControl+described {
		t.Errorf("%s: %v were sent, it says; the candidate got %d, control %d, and %d questions for descriptors", e.name, told, toCandidate, toControl, described)
	}
	if toCandidate != asked || toControl < asked || toControl > 2*asked {
		t.Errorf("%s: the candidate was asked %d times, control %d, for %d pairs: %s", e.name, toCandidate, toControl, asked, summaryOf(r))
	}
	if control.Leaked+candidate.Leaked+control.Unequal+candidate.Unequal+candidate.Live > 0 {
		t.Errorf("%s: credentials, conditions or live requests came where they should not: %+v, %+v", e.name, control, candidate)
	}
}

// TestMirrorNeverSaysAllIsWellWithoutKnowing: two origins that differ in nothing pass. If copies get other answers than live requests, or
// answers that say nothing, they do not.
func TestMirrorNeverSaysAllIsWellWithoutKnowing(t *testing.T) {
	l := newLab(t, envoybin.Newest)
	equal := shadowtest.Options{Endpoints: 2}
	want := map[string]string{}
	for _, m := range []truth.Manner{truth.AsTheWorld, truth.Unauthorized, truth.Login, truth.OneBody, truth.NotModified, truth.Throttled} {
		name, part := "is-"+string(m), truth.HTTP
		if m == truth.AsTheWorld {
			name = "is-equal"
		}
		l.examine(name, l.truth(truth.Config{World: equal, Manner: m}), part, 400, 50)
		if want[name] = "Inconclusive"; m == truth.AsTheWorld {
			want[name] = "Pass"
		}
	}
	stop := l.start()
	l.until("enough pairs are compared", 4*time.Minute, (*examined).enough)
	l.finish(stop)
	for _, e := range l.all {
		t.Logf("%s: %s", e.name, summaryOf(e.report))
		if v := e.report.GetVerdict(); v != want[e.name] {
			t.Errorf("%s: the verdict is %s, not %s", e.name, v, want[e.name])
		}
		if len(e.report.GetWhy()) == 0 && want[e.name] != "Pass" || len(findings(e.report)) > 0 {
			t.Errorf("%s: why %v, findings %v", e.name, e.report.GetWhy(), findings(e.report))
		}
		e.holdCounts(t)
	}
}

func findings(r *crossfadev1.MirrorReport) (out []*crossfadev1.MirrorDifference) {
	for _, d := range r.GetDifferences() {
		if d.GetState() == "finding" {
			out = append(out, d)
		}
	}
	return out
}
