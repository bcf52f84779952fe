package protocols

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// A short exchange is had so many times at least while weights change, and until they have changed so many times.
const (
	often   = 10
	changes = 5
)

// mayBeEarly is how many of some dozens of calls may be ended by the application before their client and the proxy know that their time is up.
const mayBeEarly = 1

// groups are the tables of the page, in its order.
func groups() [][]exchange { return [][]exchange{callExchanges(), socketExchanges(), webExchanges()} }

// TestProtocols has every exchange directly and through the fleet: at rest, while weights change, and with all that can happen in its
// middle. What was seen may differ only as the tables of docs/protocols.md say, the same at any time and on every version of Envoy.
func TestProtocols(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "protocols.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	written := readRows(string(text))
	found := map[string]row{}
	all := slices.Concat(groups()...)
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, nil)
		watch := watchMemory(t, w)
		for _, e := range all {
			t.Run(e.name, func(t *testing.T) {
				now := row{name: e.name, different: cell(w.hold(t, e)), why: written[e.name].why}
				if before, ok := found[e.name]; ok && before != now {
					t.Errorf("versions of Envoy differ: %s, and\n%s", before, now)
				}
				found[e.name] = now
				if !*update && (now != written[e.name] || now.different != "" && now.why == "") {
					t.Errorf("docs/protocols.md has\n%s\nbut it is\n%s\n(and every difference needs a reason)", written[e.name], now)
				}
			})
		}
		watch()
		if w.early > mayBeEarly {
			t.Errorf("%d calls whose time was up failed as UNAVAILABLE", w.early)
		}
	})
	if len(found) < len(all) {
		return // -run has chosen some
	}
	for name := range written {
		if _, ok := found[name]; !ok {
			t.Errorf("docs/protocols.md has a row %q, which nothing does", name)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(path, []byte(writeRows(string(text), found)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// hold has an exchange directly and in each circumstance, and returns how that differs, which must be the same in all.
func (w *world) hold(t *testing.T, e exchange) (different []string) {
	t.Helper()
	parent := w.t
	w.t = t
	defer func() { w.t = parent }()
	nothing := func(context.Context) error { return nil }
	direct := w.once(t, e, w.direct(e.service), nothing)
	different = differences(direct, w.once(t, e, w.proxied(), nothing))
	said := map[string]bool{}
	compare := func(when string, through []string) {
		if got := differences(direct, through); !slices.Equal(got, different) && !said[when] {
			said[when] = true
			t.Errorf("%s, %s: %q; at rest: %q", e.name, when, got, different)
		}
	}

	turned, stop := w.churn(e.service)
	for n := 0; n < 1 || e.short && (n < often || turned.Load() < changes); n++ {
		compare("while weights change", w.once(t, e, w.proxied(), func(ctx context.Context) error { return turns(ctx, turned, 4) }))
	}
	stop()

	for _, at := range []struct {
		name   string
		weight int32
	}{{"eks", 10000}, {"ecs", 0}} {
		w.reset(at.weight)
		if e.short { // it cannot be open meanwhile
			done := make(chan error, 1)
			go func() { done <- w.upheaval(t.Context(), e.service) }()
			for running := true; running; {
				select {
				case err := <-done:
					if running = false; err != nil {
						t.Error(err)
					}
				default:
				}
				compare("begun at "+at.name+" while everything changes", w.once(t, e, w.proxied(), nothing))
			}
			continue
		}
		compare("begun at "+at.name+" with everything changed in its middle", w.once(t, e, w.proxied(), func(ctx context.Context) error { return w.upheaval(ctx, e.service) }))
	}
	w.reset(0)
	return different
}

// turns waits until weights have changed so many times more.
func turns(ctx context.Context, turned *atomic.Int64, more int64) error {
	until := turned.Load() + more
	return poll.Until(ctx, 2*time.Millisecond, poll.True(func() bool { return turned.Load() >= until }))
}

// once has an exchange, and returns what was seen.
func (w *world) once(t *testing.T, e exchange, address string, turn func(context.Context) error) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w.exchanges++
	turned := false
	p := &peer{world: w, address: address, host: e.service + ".test", id: fmt.Sprint(w.exchanges), turn: func(ctx context.Context) error {
		turned = true
		return turn(ctx)
	}}
	if err := e.do(ctx, p); err != nil {
		p.client("error", strings.ReplaceAll(err.Error(), address, "ADDRESS"))
	}
	if len(p.saw) == 0 || turned == e.short {
		t.Errorf("%s: seen %q, turned %v", e.name, p.saw, turned)
	}
	return p.saw
}

// row is a line of a table of docs/protocols.md.
type row struct{ name, different, why string }

// String is the line.
func (r row) String() string {
	line := "|"
	for _, cell := range []string{r.name, r.different, r.why} {
		line += strings.TrimRight(" "+cell, " ") + " |"
	}
	return line
}

func cell(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.Join(all, "`<br>`"), "|", "¦") + "`"
}

// head is the first line of each table.
const head = "| exchange | different through the fleet | why |"

// readRows returns the rows of the tables, by their first cell.
func readRows(text string) map[string]row {
	out := map[string]row{}
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch cells := strings.Split(line, "|"); {
		case line == head:
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && len(cells) == 5 && cells[1] != "---":
			r := row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])}
			out[r.name] = r
		}
	}
	return out
}

// writeRows replaces the rows of the tables.
func writeRows(text string, found map[string]row) string {
	var b strings.Builder
	inside, tables := false, groups()
	for line := range strings.Lines(text) {
		switch {
		case strings.TrimSpace(line) == head:
			inside = true
			b.WriteString(head + "\n|---|---|---|\n")
			for _, e := range tables[0] {
				b.WriteString(found[e.name].String() + "\n")
			}
			tables = tables[1:]
			continue
		case !strings.HasPrefix(line, "|"):
			inside = false
		}
		if !inside {
			b.WriteString(line)
		}
	}
	return b.String()
}
