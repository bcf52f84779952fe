package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// TestMain lets the test be its own load generator, as the program is.
func TestMain(m *testing.M) {
	if role.Serve(roles()) {
		return
	}
	os.Exit(m.Run())
}

func TestQuick(t *testing.T) {
	results := t.TempDir()
	if err := run(t.Context(), []string{"-quick", "-rate", "500", "-results", results}); err != nil {
		t.Fatal(err)
	}
	lines, err := report.Read(filepath.Join(results, "*-quick"))
	if err != nil {
		t.Fatal(err)
	}
	costs := map[string]int{}
	for _, l := range lines {
		if strings.HasPrefix(l.Note, "not on this machine: apt-get install ") {
			costs[l.System]++
			continue
		}
		if l.N == 0 || l.Mean <= 0 || l.Failed > 0 || l.Aim != nil || l.Ratio != nil {
			t.Errorf("%s %v %s: %d samples, mean %g, %d failed, aim %v, ratio %v; %s", l.System, l.Case, l.Metric, l.N, l.Mean, l.Failed, l.Aim, l.Ratio, l.Note)
		}
		if l.Metric == "cpu_per_request" {
			costs[l.System]++
		}
	}
	for system, want := range map[string]int{crossfade: 4 + len(priced(5)), minimal: 2, "crossfade generated": 1 + len(pieces()), "haproxy": 1, "nginx": 1} {
		if costs[system] != want {
			t.Errorf("%d costs of %s, not %d", costs[system], system, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"-rate 5": "-rate must be 10 to", "-rate 20000": "-rate must be 10 to",
		"-turns 0": "-turns and -pairs 1 to", "-pairs -1": "-turns and -pairs 1 to", "x": `"x" is not a flag`, "-quick -full": "exclude each other",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestCPUTimeIsThatOfTheProcess works for a while and looks at its own clock.
func TestCPUTimeIsThatOfTheProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const work = 50 * time.Millisecond
	sum := 0.0
	for i := 0; ; i++ {
		sum += math.Sqrt(float64(i))
		if i%1000 > 0 {
			continue
		}
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now-before >= work {
			break
		}
		if i > 1e9 {
			t.Fatalf("%v of CPU time after all that (%g)", now-before, sum)
		}
	}
	if _, err := cpuTime(math.MaxInt32 / 16); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

// invented is a turn that went well, at a cost in seconds.
func invented(cost float64) turn {
	return turn{cpu: cost, rate: 98, offered: 100, latencies: []float64{1e-3}, memory: 1e6, sum: Sum{Done: 100}}
}

// ran is a system with a run of a turn for each cost.
func ran(name string, costs ...float64) *entry {
	e := &entry{system: &system{name: name, c: map[string]any{"services": 1}}}
	for _, c := range costs {
		e.turns = append(e.turns, invented(c))
	}
	return e
}

// reporting is a bench that only reports.
func reporting(size report.Size) *bench {
	return &bench{options: &options{Options: report.Options{Size: size}}, r: report.NewRun("datapath", "", 1, time.Now())}
}

func TestATurnThatDidNotReachItsRateMeetsNoAim(t *testing.T) {
	for name, want := range map[string]struct {
		change func(*turn)
		why    string
	}{
		"nothing": {func(*turn) {}, ""},
		"slow":    {func(t *turn) { t.rate = 96 }, "in 1 of 5 turns fewer requests were answered than were due"},
		"failed":  {func(t *turn) { t.sum.Failed, t.sum.Failures = 1, map[string]uint64{"timeout": 1} }, "1 of 500 requests failed: 1 × timeout"},
	} {
		for _, whose := range []string{crossfade, minimal} {
			b, own, peer := reporting(report.Full), ran(crossfade, 1, 1.01, 1.02, 1.03, 1.04), ran(minimal, 1, 1.01, 1.02, 1.03, 1.04)
			want.change(&map[string]*entry{crossfade: own, minimal: peer}[whose].turns[1])
			b.reportDefaults([]*entry{own, peer}, peer)
			for _, l := range b.r.Lines() {
				doubted := want.why != "" && (l.System == whose || l.Ratio != nil)
				if doubted == (l.Invalid == "") || doubted && !strings.Contains(l.Invalid, want.why) {
					t.Errorf("%s of %s: %s %s is invalid because %q", name, whose, l.System, l.Metric, l.Invalid)
				}
				if l.Aim != nil && *l.Met == doubted {
					t.Errorf("%s of %s: %s %s: met %t", name, whose, l.System, l.Metric, *l.Met)
				}
			}
		}
	}
}

// TestPartsWithoutAnAimOfTheirOwn have one for failures, which no turn below its rate meets.
func TestPartsWithoutAnAimOfTheirOwn(t *testing.T) {
	b, base, other := reporting(report.Full), ran(crossfade, 1, 1, 1), ran(crossfade, 1, 2, 3)
	base.turns[0].rate = 90
	b.reportGroups(plain, [][]*entry{{base, other}})
	var met []bool
	for _, l := range b.r.Lines() {
		if l.Aim != nil {
			met = append(met, *l.Met)
		}
		if l.Ratio != nil && !strings.HasPrefix(l.Invalid, plain+": in 1 of 3 turns") {
			t.Errorf("a ratio to what is in doubt is not: %q", l.Invalid)
		}
	}
	if !slices.Equal(met, []bool{false, true}) {
		t.Errorf("aims are met: %v", met)
	}
}

// TestEachTurnIsARun: in the intervals are processes, of which each has one turn.
func TestEachTurnIsARun(t *testing.T) {
	b, own, v := reporting(report.Full), ran(crossfade, 1.00, 1.02, 1.04), versus{ran(minimal, 1, 1, 1), minimal}
	l := b.cost(own, v)
	if got := ratioText(l); l.N != 3 || got != ", × 1.020 [0.971, 1.071] of envoy-static" { // two degrees of freedom: t is 4.3
		t.Errorf("%d turns%s", l.N, got)
	}
	b.rest(own, v)
	for _, l := range b.r.Lines() {
		if l.Runs != 3 {
			t.Errorf("%s: %d runs", l.Metric, l.Runs)
		}
	}
}

// TestLatenciesAreComparedByThe99thPercentileOfEachTurn with those of the peer.
func TestLatenciesAreComparedByThe99thPercentileOfEachTurn(t *testing.T) {
	b, own, other := reporting(report.Full), ran(crossfade, 1, 1, 1), ran(minimal, 1, 1, 1)
	for i := range own.turns {
		own.turns[i].latencies, other.turns[i].latencies = slices.Repeat([]float64{1e-3}, 100), slices.Repeat([]float64{1e-3}, 100)
		own.turns[i].latencies[0], own.turns[i].latencies[1] = 4e-3, 3e-3 // the p99 is the second largest of 100
		other.turns[i].latencies[0], other.turns[i].latencies[1] = 9e-3, 2e-3
	}
	b.reportDefaults([]*entry{own, other}, other)
	for _, l := range b.r.Lines() {
		if l.Metric != "latency" {
			continue
		}
		if l.System == minimal && l.Ratio != nil || l.System == crossfade && (l.Ratio == nil || *l.Ratio != 1.5 || *l.RatioOf != "p99" || *l.Peer != minimal) {
			t.Errorf("%s: ratio %+v", l.System, l)
		}
	}
	other.turns[0].rate = 90
	b = reporting(report.Full)
	b.rest(own, versus{other, minimal})
	if l := b.r.Lines()[0]; !strings.HasPrefix(l.Invalid, minimal+": in 1 of 3 turns") {
		t.Errorf("a ratio to what is in doubt is not: %q", l.Invalid)
	}
}

// TestTurnsAreBalanced: in twice as many rounds as there are systems each comes right after each other one as often, and at each place.
func TestTurnsAreBalanced(t *testing.T) {
	for n := 1; n <= 6; n++ {
		after, places := map[[2]int]int{}, map[[2]int]int{}
		var before []int
		for i := range 2 * n {
			now := order(i, n)
			for at, which := range now {
				places[[2]int{at, which}]++
				if at > 0 {
					after[[2]int{now[at-1], which}]++
				}
			}
			if i%2 == 1 {
				if slices.Reverse(before); !slices.Equal(now, before) {
					t.Errorf("%d systems: round %d is %v, and not %v", n, i, now, before)
				}
			}
			before = now
		}
		if len(after) != n*(n-1) || len(places) != n*n {
			t.Errorf("%d systems: %v, %v", n, after, places)
		}
		for what, times := range after {
			if times != 2 {
				t.Errorf("%d systems: %v follow each other %d times", n, what, times)
			}
		}
		for what, times := range places {
			if times != 2 {
				t.Errorf("%d systems: place and system %v %d times", n, what, times)
			}
		}
	}
}

func TestTheAimSaysOfWhatItIs(t *testing.T) {
	b, own, peer := reporting(report.Full), ran(crossfade, 1.1, 1.11, 1.11, 1.11, 1.12), ran(minimal, 1, 1, 1, 1, 1)
	b.reportDefaults([]*entry{own, peer}, peer)
	for _, l := range b.r.Lines() {
		if l.Metric != "cpu_per_request" || l.System != crossfade {
			continue
		}
		const want = "the aim, CPU per request of a live proxy with defaults at the whole rate, ratioHigh <= 1.05, is not met: mean 1.11 [1.1, 1.12] of envoy-static"
		if got := aimText(l); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		l.Invalidate("busy")
		if got := aimText(l); got != want+"; busy" {
			t.Error(got)
		}
	}
}

func TestFewPairsHaveNoInterval(t *testing.T) {
	l := reporting(report.Full).cost(ran(crossfade, 2, 2), versus{ran(minimal, 1, 1), minimal})
	if got := ratioText(l); got != ", × 2.000 of envoy-static, too few pairs for an interval" {
		t.Error(got)
	}
}

// TestSizes: there are at least five pairs of processes for each ratio, and 20 for the aim in full.
func TestSizes(t *testing.T) {
	for args, want := range map[string][2]int{"-quick": {1, 1}, "": {5, 5}, "-full": {20, 9}} {
		o, err := parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{o.turns, o.pairs}; got != want {
			t.Errorf("%q: %v turns and pairs, not %v", args, got, want)
		}
	}
}

// TestStarted: every process ends whatever happens.
func TestStarted(t *testing.T) {
	broken := errors.New("broken")
	for _, at := range []string{"", "start", "ready", "turn", "check"} {
		ended := 0
		fail := func(where string) func(context.Context) error {
			return func(context.Context) error {
				if at == where {
					return broken
				}
				return nil
			}
		}
		var err error
		check := func(ctx context.Context, requests uint64) error {
			if requests != 100 {
				t.Errorf("%q: %d requests of the process", at, requests)
			}
			return fail("check")(ctx)
		}
		first := &entry{system: &system{name: "first", start: func(context.Context, *site) (*process, error) {
			return &process{ready: fail("ready"), end: func() { ended++ }}, nil
		}}}
		second := &entry{system: &system{name: "second", start: func(ctx context.Context, _ *site) (*process, error) {
			return &process{ready: fail("never"), check: check, end: func() { ended++ }}, fail("start")(ctx)
		}}}
		for range 2 {
			if err = new(site).started(t.Context(), []*entry{first, second}, func() error {
				second.turns = append(second.turns, invented(1))
				return fail("turn")(t.Context())
			}); err != nil {
				break
			}
		}
		want := 2
		switch at {
		case "":
			want = 4
		case "start": // the second has not begun
			want = 1
		}
		if ended != want || errors.Is(err, broken) != (at != "") {
			t.Errorf("%q: %d ended, %v", at, ended, err)
		}
	}
}

// mirrored is an API whose experiments have made so many copies, and then end the asking.
type mirrored struct {
	crossfadev1.CrossfadeServiceClient
	n   int64
	end func()
}

func (m mirrored) GetMirrorReport(context.Context, *crossfadev1.GetMirrorReportRequest, ...grpc.CallOption) (*crossfadev1.GetMirrorReportResponse, error) {
	m.end()
	return &crossfadev1.GetMirrorReportResponse{Report: &crossfadev1.MirrorReport{Mirrored: m.n}}, nil
}

func TestThePriceOfAMirrorIsOfCopiesOfHalf(t *testing.T) {
	for _, c := range []struct {
		requests uint64
		copies   int64
		ok       bool
	}{{2000, 1000, true}, {2000, 499, false}, {100, 1, true}, {100, 0, false}, {0, 0, false}} {
		ctx, end := context.WithCancel(t.Context())
		s := &site{Stack: &stack.Stack{API: mirrored{n: c.copies, end: end}}}
		if err := s.copied(ctx, feature{}, c.requests); (err == nil) != c.ok {
			t.Errorf("%d copies of %d requests: %v", c.copies, c.requests, err)
		}
	}
}

// TestAWindowHasAllLatencies of the answers in it: the 99th percentile of evenly spaced ones is another.
func TestAWindowHasAllLatencies(t *testing.T) {
	s := &stream{}
	for i := range 3000 {
		s.note(loadgen.Result{Done: time.Duration(i), Status: 200, Origin: "ecs"})
	}
	s.note(loadgen.Result{Done: 1500, Err: errors.New("timeout")})
	if got := s.window(Span{From: 500, To: 2500}); got.Answered != 2000 || len(got.Latencies) != 2000 {
		t.Errorf("%d answered, %d latencies", got.Answered, len(got.Latencies))
	}
}

// TestRelaysHandOnEveryByte sends through both kinds, one behind the other.
func TestRelaysHandOnEveryByte(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	s, err := newSecret(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.outOfTLS(echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	into, err := s.intoTLS(out.address())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", into.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := strings.Repeat("0123456789", 10_000)
	go func() { _, _ = io.WriteString(c, want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("%d bytes came back changed: %v", len(got), err)
	}
	into.close() // ends what is open
	if n, err := c.Read(got); err == nil {
		t.Errorf("%d bytes after the end", n)
	}
}

// TestADumpOfAnotherForm would be measured as something else.
func TestADumpOfAnotherForm(t *testing.T) {
	for _, broken := range []string{"", "{}", `{"configs":[{"bootstrap":{}}]}`, `{"configs":[{"bootstrap":[]}]}`} {
		if _, err := (dump{config: json.RawMessage(broken)}).without(piece{}, place{}); err == nil {
			t.Errorf("%q is taken for a configuration", broken)
		}
	}
}

func TestAPieceThatIsNotThere(t *testing.T) {
	d := dump{config: json.RawMessage(`{"configs":[{"bootstrap":{"static_resources":{"clusters":[]}}},
		{"dynamic_listeners":[{"active_state":{"listener":{"filter_chains":[{"filters":[{"typed_config":{"access_log":[]}}]}]}}}]},
		{"dynamic_route_configs":[{"route_config":{"virtual_hosts":[{},{"routes":[{"route":{}}]}]}}]},
		{"dynamic_active_clusters":[{"cluster":{"name":"a/ecs"}},{"cluster":{"name":"a/eks"}}]}]}`), runtime: map[string]string{"key": "7"}}
	for _, p := range []piece{{}, {"log", func(g *generated) { without(g.manager, "access_log") }}} {
		if got, err := d.without(p, place{}); err != nil || p.remove != nil == strings.Contains(string(got), "access_log") {
			t.Errorf("%s: %s, %v", p.name, got, err)
		}
	}
	if _, err := d.without(piece{"else", func(g *generated) { without(g.manager, "else") }}, place{}); err == nil {
		t.Error("what is not there was left out")
	}
}
