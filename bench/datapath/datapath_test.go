package main

import (
	"encoding/json"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
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
		if l.N == 0 || l.Mean <= 0 || l.Failed > 0 || l.Aim != nil || l.Ratio != nil {
			t.Errorf("%s %v %s: %d samples, mean %g, %d failed, aim %v, ratio %v; %s", l.System, l.Case, l.Metric, l.N, l.Mean, l.Failed, l.Aim, l.Ratio, l.Note)
		}
		if l.Metric == "cpu_per_request" {
			costs[l.System]++
		}
	}
	for system, want := range map[string]int{crossfade: 4 + len(priced(5)), minimal: 2, "crossfade generated": 1 + len(pieces())} {
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

func TestATurnThatDidNotReachItsRateMeetsNoAim(t *testing.T) {
	good := turn{cpu: 1, rate: 98, offered: 100, sum: Sum{Done: 100}}
	slow, failed := good, good
	slow.rate = 90
	failed.sum.Failed, failed.sum.Failures = 1, map[string]uint64{"timeout": 1}
	for _, c := range []struct {
		turns []turn
		valid bool
		note  string
	}{
		{[]turn{good, good}, true, "lateness"},
		{[]turn{good, slow}, false, "INVALID: in 1 of 2 runs"},
		{[]turn{good, failed}, false, "1 of 200 requests failed: 1 × timeout"},
		{nil, false, ""},
	} {
		e := &entry{turns: c.turns}
		if e.valid() != c.valid || !strings.Contains(e.note(), c.note) {
			t.Errorf("%v: valid %t, %s", c.turns, e.valid(), e.note())
		}
		if peer := (&entry{turns: []turn{good, good}}); aimCounts(e, peer) != c.valid || aimCounts(peer, e) != c.valid {
			t.Errorf("%v: an aim counts with it", c.turns)
		}
	}
}

func TestThin(t *testing.T) {
	if got := thin([]float64{1, 2, 3, 4, 5}, 3); !slices.Equal(got, []float64{1, 3, 5}) {
		t.Error(got)
	}
	if got := thin([]float64{1, 2}, 3); !slices.Equal(got, []float64{1, 2}) {
		t.Error(got)
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
