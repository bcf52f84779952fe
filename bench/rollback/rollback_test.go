package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		}
	}
	if _, err := findTraefik(); err == nil {
		want["traefik last_request"], want["traefik acked"] = 1, 0
	}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("%s: %d samples, not %d", what, got[what], n)
		}
		if _, there := got[what]; !there && strings.Contains(what, "cited") {
			t.Errorf("%s is not in the report", what)
		}
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
	for args, want := range map[string]string{"": "50 5 2", "-quick": "3 1 1", "-full": "400 10 2", "-context 0": "50 0 2"} {
		o, err := parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(o.flips, " ", o.context, " ", len(o.ttls)); got != want {
			t.Errorf("%q: flips, those of context and TTLs are %s, not %s", args, got, want)
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

// TestTooFewChangesMeetNoAim: a case in which others change less than it says is an easier one.
func TestTooFewChangesMeetNoAim(t *testing.T) {
	rounds := []*round{{flips: []flip{{last: 0.001}}, sum: Sum{Done: 1, Offered: 100, Achieved: 100}}}
	holdCase(t, "50 changes", rounds, changed(50, 1, 199), true)
	holdCase(t, "49.1 changes", rounds, changed(49.1, 1, 199), true)
	holdCase(t, "48.9 changes", rounds, changed(48.9, 1, 199), false)
	holdCase(t, "a failed change", rounds, meanwhile{failed: 1}, false)
}

// holdCase reports a case and looks at the aim of last_request.
func holdCase(t *testing.T, name string, rounds []*round, m meanwhile, met bool) {
	t.Helper()
	b := &bench{options: &options{}, r: report.NewRun("rollback", "", 1, time.Time{})}
	b.systemLines(setting{services: 1}.describe(4), "crossfade", map[string][]*round{"crossfade": rounds}, m)
	l := b.r.Lines()[0]
	if l.Met == nil || *l.Met != met || strings.Contains(*l.Aim, "ALB") || !strings.Contains(l.Note, "ALB") {
		t.Errorf("%s: the aim is met: %+v", name, l)
	}
}

func TestAMissingProgramSaysHowToGetIt(t *testing.T) {
	_, err := find("no-such-proxy", "ask somebody", t.TempDir())
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), "ask somebody") {
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
