package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// TestMain makes the test's program serve as a child, as the bench's own does.
func TestMain(m *testing.M) {
	if role.Serve(roles()) {
		return
	}
	os.Exit(m.Run())
}

// TestQuick runs everything small. It asks no clock: what it holds is that every system serves the same, each client has exactly that
// after every flip, nobody is sent again what it has, and the report says so.
func TestQuick(t *testing.T) {
	const clients, flips = 20, 4
	results := t.TempDir()
	args := []string{"-quick", "-clients", fmt.Sprint(clients), "-services", "12", "-flipping", "3", "-flips", fmt.Sprint(flips), "-results", results}
	if err := run(t.Context(), args, io.Discard); err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(results, "*-quick"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("folders %v, %v", folders, err)
	}
	for _, name := range []string{"summary.md", "index.html"} {
		if b, err := os.ReadFile(filepath.Join(folders[0], name)); err != nil || !strings.Contains(string(b), "flip_acked") {
			t.Errorf("%s: %v, %d bytes", name, err, len(b))
		}
	}
	lines, err := report.Read(folders[0])
	if err != nil {
		t.Fatal(err)
	}
	byPart := map[string][]*report.Line{}
	for _, l := range lines {
		if l.Failed != 0 || l.N == 0 || l.Note != "" || l.Ratio != nil || l.Met != nil || l.Bench != "fleet" || l.Command == "" {
			t.Errorf("line %+v", l)
		}
		part, _ := l.Case["part"].(string)
		byPart[part] = append(byPart[part], l)
	}
	t.Run("main", func(t *testing.T) { holdMain(t, byPart[""], clients, flips) })
	t.Run("proxies", func(t *testing.T) { holdSweep(t, byPart["proxies"], "proxies", []int{2, 20}) })
	t.Run("services", func(t *testing.T) { holdSweep(t, byPart["services"], "services", []int{10, 20}) })
	t.Run("manners", func(t *testing.T) { holdManners(t, byPart["manners"]) })
	t.Run("envoy", func(t *testing.T) { holdEnvoy(t, byPart["envoy"], []int{10, 20}) })
	if len(byPart["costs"]) == 0 {
		t.Error("nobody says what a proxy costs")
	}
}

// values of each case, by metric and system.
func values(lines []*report.Line) map[string][]float64 {
	out := map[string][]float64{}
	for _, l := range lines {
		out[l.Metric+" "+l.System] = append(out[l.Metric+" "+l.System], l.Max)
	}
	return out
}

func holdMain(t *testing.T, lines []*report.Line, clients float64, flips int) {
	for _, l := range lines {
		if l.Metric == "flip_acked" && l.N != flips {
			t.Errorf("flip_acked of %s has %d samples, want %d", l.System, l.N, flips)
		}
	}
	values := values(lines)
	for _, m := range metrics {
		if len(values[m.name+" "+crossfade]) == 0 {
			t.Errorf("no line for %s", m.name)
		}
	}
	all := slices.Repeat([]float64{clients}, len(peers))
	if got := values["reconnect_storm_resources "+crossfade]; !slices.Equal(got, slices.Concat(all, []float64{clients})) { // once more, for its aim
		t.Errorf("after a reconnect one flip behind %v resources were sent to %g clients, want one each", got, clients)
	}
	// One response each, from everybody; the peers' clients hold the same bytes, or the run would have failed.
	for _, system := range []string{crossfade, linear} {
		if got := values["flip_responses "+system]; !slices.Equal(got, all) {
			t.Errorf("a flip of %s has %v responses to %g clients: want one each", system, got, clients)
		}
	}
	// The same layer travels: only versions and names differ in length.
	own, other := values["flip_bytes "+crossfade][0], values["flip_bytes "+linear][0]
	if own <= 0 || other/own > 1.2 || own/other > 1.2 {
		t.Errorf("a flip has %g bytes, that of the peer %g", own, other)
	}
}

// holdSweep holds that there is a line for every size and system, and that a flip is as large for each proxy whatever their number and that of services.
func holdSweep(t *testing.T, lines []*report.Line, of string, sizes []int) {
	for _, m := range metrics {
		for _, system := range []string{crossfade, linear, snapshot} {
			var got []int
			for _, l := range lines {
				if l.Metric == m.name && l.System == system {
					got = append(got, int(l.Case[of].(float64)))
				}
			}
			if want := m.swept && (!m.oursOnly || system == crossfade); want != slices.Equal(got, sizes) {
				t.Errorf("%s of %s is there for %v %s", m.name, system, got, of)
			}
		}
	}
	for name, got := range values(lines) {
		if strings.HasPrefix(name, "flip_bytes_per_proxy") && slices.Max(got) > 1.05*slices.Min(got) {
			t.Errorf("%s: %v by %v %s", name, got, sizes, of)
		}
	}
}

// holdManners holds that those who refuse did, and were sent no more than the flips and what they refused. That the others, real Envoys too, have
// each flip, and in the end everybody everything, is held by the run itself.
func holdManners(t *testing.T, lines []*report.Line) {
	values := values(lines)
	for _, system := range []string{crossfade, linear} {
		refused, responses := values["responses_refused "+system], values["responses_to_refusing "+system]
		if len(refused) != 1 || refused[0] <= 0 || refused[0] > 1 || len(responses) != 1 || responses[0] > mostToRefusing {
			t.Errorf("%s: per flip %v responses to those that refuse, %v refused", system, responses, refused)
		}
		if n := len(values["flip_acked_healthy "+system]); n != 2 {
			t.Errorf("%s: %d lines of flip_acked_healthy, want one while all behave and one while some do not", system, n)
		}
	}
}

// holdEnvoy holds that every kind of change cost a real Envoy something, whatever the number of services.
func holdEnvoy(t *testing.T, lines []*report.Line, services []int) {
	for _, kind := range envoyChanges {
		for _, metric := range []string{"envoy_cpu", "envoy_acked"} {
			var got []int
			for _, l := range lines {
				if l.Metric == metric && l.Case["change"] == kind && l.P50 > 0 {
					got = append(got, int(l.Case["services"].(float64)))
				}
			}
			if !slices.Equal(got, services) {
				t.Errorf("%s of %s is there for %v services", metric, kind, got)
			}
		}
	}
}

// TestWhoNeedsTooMuchIsReported: with a limit that nobody keeps, the run ends without an error, and its lines say why they are empty.
func TestWhoNeedsTooMuchIsReported(t *testing.T) {
	o, err := parse([]string{"-quick", "-clients", "2", "-pairs", "2", "-limit", "0.001"})
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{options: o, report: &report.Run{}, out: io.Discard}
	runs, err := p.measure(t.Context(), []string{crossfade, snapshot}, []subject{o.one}, extent{0, o.pairs, o.flips, 0})
	if err != nil {
		t.Fatal(err)
	}
	p.mainLines(runs)
	if len(p.report.Lines()) == 0 {
		t.Error("no lines")
	}
	for _, l := range p.report.Lines() {
		why := l.Note
		if l.System == crossfade {
			why = l.Invalid
		}
		if l.N != 0 || !strings.Contains(why, "in 2 of 2 rounds: needs over 0.001 GB") {
			t.Errorf("line %+v", l)
		}
	}
}

// TestAnInterruptEndsEverything: the run returns when it is cancelled, which it does not before all of its processes have ended.
func TestAnInterruptEndsEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o, err := parse([]string{"-quick"})
	if err != nil {
		t.Fatal(err)
	}
	var runners []*runner
	p := &plan{subjects: []subject{{system: crossfade, Clients: 5, Workload: o.one.Workload}}, rounds: 1, flips: 1000, limit: 1e9, out: io.Discard}
	p.course = func(ctx context.Context, r *round) error {
		runners = r.runners
		if err := r.each(ctx, (*runner).start); err != nil {
			return err
		}
		cancel()
		return r.turns(ctx, r.flips, (*runner).measuredFlip)
	}
	if _, err := p.measure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, r := range runners {
		for _, c := range []*role.Child{r.server, r.fleet} {
			if !c.Ended() {
				t.Errorf("the %s has not ended", c.Name())
			}
		}
	}
	if len(runners) != 1 {
		t.Errorf("%d runners", len(runners))
	}
}

func TestBadFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody":        {[]string{"-clients", "0"}, "at least 1"},
		"too few":       {[]string{"-services", "5"}, "-flipping must be at most -services"},
		"above the top": {[]string{"-flipping", "65"}, "and 64"},
		"unknown peer":  {[]string{"-peers", "istio"}, `there is no "istio"`},
		"no memory":     {[]string{"-limit", "0"}, "-limit must be above 0"},
		"no flag":       {[]string{"now"}, "is not a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
