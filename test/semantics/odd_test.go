package semantics

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var update = flag.Bool("update", false, "write the tables of docs/http.md anew; reasons stay, new rows get none")

// TestOddRequests sends odd requests, and requests with odd answers, to an origin directly and through Envoy. What the origin and the client
// see may differ only as the tables of docs/http.md say, each difference with its reason.
func TestOddRequests(t *testing.T) {
	cases := append(oddRequests(), oddAnswers()...)
	if len(cases) < 50 {
		t.Fatalf("%d cases, want 50", len(cases))
	}
	path := filepath.Join("..", "..", "docs", "http.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documented := readRows(string(text))
	found := map[string]row{}
	eachVersion(t, func(t *testing.T, version string) {
		l := newOddLab(t, version)
		for _, o := range cases {
			direct, proxied := l.try(t, l.wire.address, o), l.try(t, l.proxy, o)
			if len(direct.saw) == 0 || len(direct.got) == 0 {
				t.Fatalf("%s: directly, the origin saw %v and the client got %v", o.name, direct.saw, direct.got)
			}
			origin, client := differences(direct, proxied, l.port)
			now := row{name: o.name, origin: cell(origin), client: cell(client), why: documented[o.name].why}
			if before, seen := found[o.name]; seen && before != now {
				t.Errorf("%s: versions of Envoy differ: %s, and\n%s", o.name, before, now)
			}
			found[o.name] = now
			if *update {
				continue
			}
			if now != documented[o.name] || now.why == "" && (now.origin != "" || now.client != "") {
				t.Errorf("docs/http.md has\n%s\nbut it is\n%s\n(and every difference needs a reason)", documented[o.name], now)
			}
		}
	})
	for name := range documented {
		if _, ok := found[name]; !ok {
			t.Errorf("docs/http.md has a row %q, which nothing sends", name)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(path, []byte(writeRows(string(text), cases, found)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// row is a line of a table of docs/http.md.
type row struct{ name, origin, client, why string }

// String is the line.
func (r row) String() string {
	line := "|"
	for _, cell := range []string{r.name, r.origin, r.client, r.why} {
		line += strings.TrimRight(" "+cell, " ") + " |"
	}
	return line
}

func cell(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return "`" + strings.Join(all, "`<br>`") + "`"
}

// readRows returns the rows of tables of four columns, by their first cell.
func readRows(text string) map[string]row {
	out := map[string]row{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[2]) == "the origin sees" {
			continue
		}
		r := row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])}
		out[r.name] = r
	}
	return out
}

// writeRows replaces the rows of both tables.
func writeRows(text string, cases []odd, found map[string]row) string {
	var b strings.Builder
	requests := len(oddRequests())
	tables := [][]odd{cases[:requests], cases[requests:]}
	for line := range strings.Lines(text) {
		if cells := strings.Split(strings.TrimSpace(line), "|"); len(cells) == 6 && !strings.HasPrefix(cells[1], "---") && strings.TrimSpace(cells[2]) != "the origin sees" {
			continue
		}
		b.WriteString(line)
		if strings.HasPrefix(line, "|---|---|---|---|") && len(tables) > 0 {
			for _, o := range tables[0] {
				b.WriteString(found[o.name].String() + "\n")
			}
			tables = tables[1:]
		}
	}
	return b.String()
}

// oddLab is an origin of bytes and an Envoy before it that sends it everything.
type oddLab struct {
	wire        *wire
	proxy, port string
}

func newOddLab(t *testing.T, version string) *oddLab {
	t.Helper()
	f := newWorld(t, version).fleet("default", 1, false)
	f.envoy.AwaitReady()
	l := &oddLab{wire: startWire(t), port: fmt.Sprint(f.ports[0])}
	l.proxy = net.JoinHostPort(f.host, l.port)
	settings, services := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name}, &crossfadev1.Service{
		ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: "odd", Hosts: []string{"*"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: int32(f.ports[0])},
		Origins: []*crossfadev1.Origin{staticOrigin("ecs", l.wire.address), staticOrigin("eks", "127.0.0.1:1")},
	})
	f.publish(settings, services)
	return l
}

// try has one conversation.
func (l *oddLab) try(t *testing.T, address string, o odd) exchange {
	t.Helper()
	answer := o.answer
	if answer == nil {
		answer = []string{fine}
	}
	next := l.wire.expect(answer)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var e exchange
	r := bufio.NewReader(&prompter{Reader: c, pieces: answer, next: next})
	for i, text := range o.send {
		if _, err := io.WriteString(c, text); err != nil {
			e.got = append(e.got, message{start: "closed"})
			break
		}
		method, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), " ")
		if err := e.read(r, method, max(1, o.count), i+1 < len(o.send)); err != nil {
			break
		}
	}
	if o.tunnel && len(e.got) > 0 && e.got[0].status() == "101" {
		e.got[0].body = echoed(c, r)
	}
	e.saw = l.wire.seen()
	return e
}

// read reads so many final answers, and the interim ones before them. If there is more to send, an interim one is enough.
func (e *exchange) read(r *bufio.Reader, method string, count int, more bool) error {
	for count > 0 {
		m, err := readAnswer(r, method)
		if m.start != "" {
			e.got = append(e.got, m)
		}
		if err != nil {
			e.got = append(e.got, message{start: ending(err)})
			return err
		}
		switch {
		case !strings.HasPrefix(m.status(), "1") || m.status() == "101":
			count--
		case more:
			return nil
		}
	}
	return nil
}

func ending(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "nothing more for 5 s"
	}
	return "closed"
}

// echoed sends two lines through a tunnel, one after the other, and returns what comes back.
func echoed(c net.Conn, r *bufio.Reader) string {
	back := ""
	for _, line := range []string{"first\n", "second\n"} {
		if _, err := io.WriteString(c, line); err != nil {
			return back + err.Error()
		}
		got, err := r.ReadString('\n')
		back += got
		if err != nil {
			return back + err.Error()
		}
	}
	return back
}

// prompter lets the origin send the next piece of an answer when the data of the one before have arrived.
type prompter struct {
	io.Reader
	pieces []string
	next   chan<- struct{}
	text   string
}

// Read reads, and looks at what has arrived so far.
func (p *prompter) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.text += string(b[:n])
	for len(p.pieces) > 1 && strings.Contains(p.text, dataOf(p.pieces[0])) {
		p.pieces = p.pieces[1:]
		p.next <- struct{}{}
	}
	return n, err
}

// dataOf is the event in a piece of a stream of events.
func dataOf(piece string) string {
	_, data, _ := strings.Cut(piece, "data: ")
	data, _, _ = strings.Cut(data, "\n")
	return data
}
