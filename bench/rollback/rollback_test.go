package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// TestMain is the load generator too, as the program is.
func TestMain(m *testing.M) {
	if role.Serve(roles()) {
		return
	}
	os.Exit(m.Run())
}

// TestQuick holds what needs no clock: everything is measured as often as it should be, and no request of ours fails.
func TestQuick(t *testing.T) {
	const proxies, flips = 2, 2
	results := t.TempDir()
	args := "-quick -proxies 2 -services 3 -flips 2 -context 1 -pools 1 -open 20 -rate 200 -results "
	if err := run(t.Context(), append(strings.Fields(args), results)); err != nil {
		t.Fatal(err)
	}
	lines, err := report.Read(filepath.Join(results, "*-quick"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, l := range lines {
		if l.Met != nil {
			t.Errorf("%s %s: a quick run says nothing of an aim", l.System, l.Metric)
		}
		if l.System == "crossfade" && l.Failed > 0 {
			t.Errorf("%s, %s: %d failed: %s", l.CaseText(), l.Metric, l.Failed, l.Note)
		}
		if strings.Contains(l.Invalid, "gave up") {
			t.Errorf("%s, %s, %s: %s", l.System, l.CaseText(), l.Metric, l.Invalid)
		}
		if l.Metric != "requests" { // whose N is how many there were
			got[l.System+" "+l.Metric] += l.N
		} else if l.N == 0 {
			t.Errorf("%s, %s: no request", l.System, l.CaseText())
		}
	}
	want := map[string]int{
		"crossfade last_request": 4 * flips, "crossfade last_request_proxy": 4 * flips * proxies, "crossfade acked": 4 * flips,
		"crossfade answer_proven": 4, "crossfade proof_error": 4, "crossfade pools_last_request": 1, "crossfade capacity": 1,
		"dns ttl 1 s last_request": 1, "dns ttl 1 s last_request_proxy": proxies, "dns ttl 1 s acked": 0,
		"alb (cited) last_request": 0, "route 53 (cited) last_request": 0,
	}
	for name, n := range map[string]int{"haproxy": flips, "nginx": 1} {
		if _, err := find(name, "", "/usr/sbin"); err == nil {
			want[name+" last_request"], want[name+" last_request_proxy"] = n, n*proxies
		} else {
			want[name+" last_request"] = 0
		}
	}
	if _, err := findTraefik(); err == nil {
		want["traefik last_request"], want["traefik acked"] = 1, 0
	} else {
		want["traefik last_request"] = 0
	}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%s: %d samples, not %d", what, got[what], n)
		}
		if _, there := got[what]; !there && strings.HasSuffix(what, " last_request") {
			t.Errorf("%s is not in the report", what)
		}
	}
}

// TestWhatIsNotMeasuredSaysWhy: a peer that is missing, or is only cited, has a line without samples.
func TestWhatIsNotMeasuredSaysWhy(t *testing.T) {
	b := reporting()
	b.cite()
	_, err := find("no-such-proxy", "apt-get install no-such-proxy", t.TempDir())
	var gone missing
	if !errors.As(err, &gone) {
		t.Fatal(err)
	}
	b.unmeasured(gone.name, gone.note())
	want := map[string]string{
		"alb (cited)": "https://docs.aws.amazon.com/", "route 53 (cited)": "https://docs.aws.amazon.com/",
		"no-such-proxy": "not on this machine: apt-get install no-such-proxy",
	}
	for _, l := range b.r.Lines() {
		if note, ok := want[l.System]; !ok || l.N > 0 || !strings.Contains(l.Note, note) || strings.Contains(l.Note, "|") {
			t.Errorf("%s: %d samples, %s", l.System, l.N, l.Note)
		}
		delete(want, l.System)
	}
	if len(want) > 0 {
		t.Errorf("without a line: %v", want)
	}
	if strings.Contains(getTraefik, "|") {
		t.Error("a note that ends a cell of a table: ", getTraefik)
	}
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"-proxies 0": "-proxies", "-services 901": "-services", "-rounds 3 -flips 2": "-flips", "-context -1": "nothing negative", "-pools -1": "nothing negative",
		"-rate x": "invalid value", "-quick -full": "exclude", "x": `"x" is not a flag`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for args, want := range map[string]string{"": "50 5 5 2", "-quick": "3 1 1 1", "-full": "400 5 10 2", "-context 0": "50 5 0 2"} {
		o, err := parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(o.flips, " ", o.rounds, " ", o.context, " ", len(o.ttls)); got != want {
			t.Errorf("%q: flips, runs, flips of context and TTLs are %s, not %s", args, got, want)
		}
	}
}

// TestPartsAreToldApart: the help names them, and each can be run alone.
func TestPartsAreToldApart(t *testing.T) {
	var names []string
	for _, s := range []setting{{services: 1}, {services: 1, changes: true}, {services: 21}, {services: 21, changes: true}} {
		names = append(names, s.String())
	}
	for _, name := range names {
		others := slices.DeleteFunc(slices.Clone(names), func(other string) bool { return !strings.Contains(other, name) })
		if len(others) != 1 {
			t.Errorf("%q names %q", name, others)
		}
	}
}

// TestASlowRunMeetsNoAim: what was not sent cannot have been late.
func TestASlowRunMeetsNoAim(t *testing.T) {
	flips := []flip{{last: 0.001}}
	fine, slow := &round{flips: flips, sum: Sum{Done: 1, Offered: 100, Achieved: 99}}, &round{flips: flips, sum: Sum{Done: 1, Offered: 100, Achieved: 97}}
	holdCase(t, "at its rate", []*round{fine, fine}, meanwhile{}, true)
	holdCase(t, "a slow run", []*round{fine, slow}, meanwhile{}, false)
}

// TestARunThatGaveUpMeetsNoAim: the flip that was too slow to be measured is not among those that were.
func TestARunThatGaveUpMeetsNoAim(t *testing.T) {
	at := Sum{Done: 1, Offered: 100, Achieved: 100}
	fine, short := &round{flips: []flip{{last: 0.001}}, sum: at}, &round{flips: []flip{{last: 0.001}}, sum: at, gaveUp: "no"}
	holdCase(t, "a run that gave up", []*round{fine, short}, meanwhile{}, false)
	holdCase(t, "before its first flip", []*round{{sum: at, gaveUp: "no"}}, meanwhile{}, false)
}

// TestASlowSystemGivesUp where it does not get to the origin that it should be at; a benchmark that is interrupted does not say that.
func TestASlowSystemGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func() error { return errors.New("not all at the old origin") }
		began := time.Now()
		err := await(t.Context(), "slow", look, never)
		if late := (gaveUp{}); !errors.As(err, &late) || !strings.Contains(err.Error(), "not all at the old origin") || time.Since(began) < patience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		interrupted, interrupt := context.WithCancel(t.Context())
		interrupt()
		err = await(interrupted, "slow", look, never)
		if late := (gaveUp{}); err == nil || errors.As(err, &late) {
			t.Error(err)
		}
	})
}

// TestTooFewChangesMeetNoAim: a case in which others change less than it says is an easier one.
func TestTooFewChangesMeetNoAim(t *testing.T) {
	rounds := []*round{{flips: []flip{{last: 0.001}}, sum: Sum{Done: 1, Offered: 100, Achieved: 100}}}
	holdCase(t, "50 changes", rounds, changed(5000, 100, 100, 199), true)
	holdCase(t, "49.1 changes", rounds, changed(4910, 100, 100, 199), true)
	holdCase(t, "48.9 changes", rounds, changed(4890, 100, 100, 199), false)
	holdCase(t, "half of the changes of routes", rounds, changed(5000, 50, 100, 199), false)
	holdCase(t, "one that is not over", rounds, changed(1045, 20, 20.9, 199), true)
	holdCase(t, "two that were dropped", rounds, changed(1045, 18, 20.9, 199), false)
	holdCase(t, "a failed change", rounds, meanwhile{failed: 1}, false)
}

// reporting is a bench that only reports.
func reporting() *bench {
	return &bench{options: &options{}, r: report.NewRun("rollback", "", 1, time.Time{})}
}

// holdCase reports a case and looks at the aim of last_request.
func holdCase(t *testing.T, name string, rounds []*round, m meanwhile, met bool) {
	t.Helper()
	b := reporting()
	b.systemLines(setting{services: 1}.describe(4), "crossfade", map[string][]*round{"crossfade": rounds}, m)
	l := b.r.Lines()[0]
	if l.Met == nil || *l.Met != met {
		t.Errorf("%s: the aim is met: %+v", name, l)
	}
}

// TestTheWeightsOfALBAreHeldAgainstTheWorseEnd of our p99, of which 555 samples have one below the largest.
func TestTheWeightsOfALBAreHeldAgainstTheWorseEnd(t *testing.T) {
	for _, c := range []struct {
		flips         int
		most, nextTo  float64 // last_request of the slowest flip, and of the next
		achieved, gap float64
		times         float64
		met           bool
	}{
		{50, 0.02, 0.01, 100, 0.001, 750, true},
		{400, 0.04, 0.01, 100, 0.001, 375, false},
		{600, 0.04, 0.01, 100, 0.001, 1500, true},
		{50, 0, 0, 100, 0.001, 15000, true},
		{50, 0.02, 0.01, 97, 0.001, 750, false},
	} {
		r := &round{sum: Sum{Done: 1, Offered: 100, Achieved: c.achieved}, rates: []float64{1 / c.gap}}
		for i := range c.flips {
			last := c.nextTo / 2
			switch i {
			case 0:
				last = c.most
			case 1:
				last = c.nextTo
			}
			r.flips = append(r.flips, flip{last: last})
		}
		b := reporting()
		b.systemLines(setting{services: 1}.describe(4), "crossfade", map[string][]*round{"crossfade": {r}}, meanwhile{})
		i := slices.IndexFunc(b.r.Lines(), func(l *report.Line) bool { return l.Metric == "alb_weights_over_last_request" })
		l := b.r.Lines()[i]
		if l.P50 != c.times || *l.Aim != ">= 500" || *l.Met != c.met || !strings.HasPrefix(l.Measured, "15 s, cited, are ") {
			t.Errorf("%+v: %g times, aim %s, met %t: %s", c, l.P50, *l.Aim, *l.Met, l.Measured)
		}
	}
}

func TestAMissingProgramSaysHowToGetIt(t *testing.T) {
	_, err := find("no-such-proxy", "ask somebody", t.TempDir())
	if !errors.As(err, new(missing)) || !strings.Contains(err.Error(), "ask somebody") {
		t.Error(err)
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "no-such-proxy")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := find("no-such-proxy", "", folder); got != program || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAProcessEndsWithWhatItStarted, as a master with its workers.
func TestAProcessEndsWithWhatItStarted(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "alive")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p, err := startProcess("sh", "-c", `sleep 60 >"`+fifo+`"; :`)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fifo) // returns when the child has it open
	if err != nil {
		p.close()
		t.Fatal(err)
	}
	defer f.Close()
	p.close()
	if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err) // the end of the file: nobody has it open
	}
}
