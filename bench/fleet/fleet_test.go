package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// TestMain makes the test's program serve as a child, as the bench's own does.
func TestMain(m *testing.M) {
	if was, err := serveRole(); was {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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
	if err := run(args, io.Discard); err != nil {
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
	values := map[string][]float64{} // metric and system → of each case
	for _, l := range lines {
		if l.Failed != 0 || l.Ratio != nil || l.Met != nil || l.Bench != "fleet" || l.Command == "" {
			t.Errorf("line %+v", l)
		}
		values[l.Metric+" "+l.System] = append(values[l.Metric+" "+l.System], l.Max)
		if want := map[string]int{"flip_acked": flips}[l.Metric]; want > 0 && l.N != want {
			t.Errorf("%s of %s has %d samples, want %d", l.Metric, l.System, l.N, want)
		}
	}
	for _, metric := range (&options{}).metrics() {
		if len(values[metric.name+" "+crossfade]) == 0 {
			t.Errorf("no line for %s", metric.name)
		}
	}
	if got := values["reconnect_storm_resources "+crossfade]; !slices.Equal(got, []float64{clients, clients, clients}) {
		t.Errorf("after a reconnect one flip behind %v resources were sent to %d clients, want one each", got, clients)
	}
	// One response each, from everybody; the peers' clients hold the same bytes, or the run would have failed.
	for _, system := range []string{crossfade, linear} {
		if got := values["flip_responses "+system]; !slices.Equal(got, []float64{clients, clients, clients}) {
			t.Errorf("a flip of %s has %v responses to %d clients, want one each", system, got, clients)
		}
	}
	// The same layer travels: only versions and names differ in length.
	own, peer := values["flip_bytes "+crossfade][0], values["flip_bytes "+linear][0]
	if own <= 0 || peer/own > 1.2 || own/peer > 1.2 {
		t.Errorf("a flip has %g bytes, the peer's %g", own, peer)
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
		"no flag":       {[]string{"now"}, "is not a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestStatesAreToldApart: the digest must see every change, or the check after each flip holds nothing.
func TestStatesAreToldApart(t *testing.T) {
	w := workload{Services: 4, Flipping: 2}
	seen := map[uint64]string{}
	for _, at := range []state{{}, {Flip: 1}, {Flip: 2}, {Flip: 3}, {Flip: 3, Folded: 3}, {Flip: 4, Folded: 3}, {InRoutes: true}, {Flip: 1, InRoutes: true}} {
		d := digest(w.resources(at))
		if before, ok := seen[d]; ok {
			t.Errorf("%+v has the digest of %s", at, before)
		}
		seen[d] = fmt.Sprintf("%+v", at)
		if again := digest(w.resources(at)); again != d {
			t.Errorf("%+v: %x and %x", at, d, again)
		}
	}
}
