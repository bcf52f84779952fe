package semantics

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestOddRequestsOverHTTP2 is [TestOddRequests] for clients of HTTP/2: to an origin of HTTP/2, directly and through Envoy, and through Envoy to
// one of HTTP/1.1, which is to see what the other sees. The tables have a column for each.
func TestOddRequestsOverHTTP2(t *testing.T) {
	requests, answers := oddRequests2(), oddAnswers2()
	path := filepath.Join("..", "..", "docs", "http.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documented, found := readRows2(string(text)), map[string]row2{}
	eachVersion(t, func(t *testing.T, version string) {
		l := newH2Lab(t, version)
		for _, o := range append(slices.Clone(requests), answers...) {
			now := l.compare(t, o)
			now.why = documented[o.name].why
			if before, seen := found[o.name]; seen && before != now {
				t.Errorf("%s: versions of Envoy differ: %s, and\n%s", o.name, before, now)
			}
			found[o.name] = now
			if *update {
				continue
			}
			if now != documented[o.name] || now.why == "" && (now.origin2 != "" || now.origin1 != "" || now.client != "") {
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
		if err := os.WriteFile(path, []byte(writeRows2(string(text), [][]odd2{requests, answers}, found)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// row2 is a line of a table of docs/http.md about HTTP/2. Those of answers have no columns for origins.
type row2 struct {
	name, origin2, origin1, client, why string

	answer bool
}

// String is the line.
func (r row2) String() string {
	line := "|"
	all := []string{r.name, r.origin2, r.origin1, r.client, r.why}
	if r.answer && r.origin2 == "" {
		all = []string{r.name, r.client, r.why}
	}
	for _, cell := range all {
		line += strings.TrimRight(" "+cell, " ") + " |"
	}
	return line
}

// cells2 returns the cells of a row of ours: of a table with five columns, or with three.
func cells2(line string) []string {
	cells := strings.Split(strings.TrimSpace(line), "|")
	if n := len(cells); n != 7 && n != 5 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[n-2]) == "why" {
		return nil
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

func readRows2(text string) map[string]row2 {
	out := map[string]row2{}
	for line := range strings.Lines(text) {
		switch c := cells2(line); len(c) {
		case 7:
			out[c[1]] = row2{name: c[1], origin2: c[2], origin1: c[3], client: c[4], why: c[5]}
		case 5:
			out[c[1]] = row2{name: c[1], client: c[2], why: c[3], answer: true}
		}
	}
	return out
}

// writeRows2 replaces the rows of both tables.
func writeRows2(text string, tables [][]odd2, found map[string]row2) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if cells2(line) != nil {
			continue
		}
		b.WriteString(line)
		if n := strings.Count(line, "|---"); (n == 5 || n == 3) && len(tables) > 0 {
			for _, o := range tables[0] {
				b.WriteString(found[o.name].String() + "\n")
			}
			tables = tables[1:]
		}
	}
	return b.String()
}

// h2Lab is an Envoy before two origins, one of frames and one of bytes, on a port each.
type h2Lab struct {
	frames       *frames
	wire         *wire
	host         string
	port2, port1 string
}

func newH2Lab(t *testing.T, version string) *h2Lab {
	t.Helper()
	f := newWorld(t, version).fleet("default", 2, false)
	f.envoy.AwaitReady()
	l := &h2Lab{frames: startFrames(t), wire: startWire(t), host: f.host, port2: fmt.Sprint(f.ports[0]), port1: fmt.Sprint(f.ports[1])}
	service := func(name, protocol string, port int, address string) *crossfadev1.Service {
		ecs := staticOrigin("ecs", address)
		ecs.Protocol = protocol
		return &crossfadev1.Service{
			ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: name, Hosts: []string{"*"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: int32(port)},
			Origins: []*crossfadev1.Origin{ecs, staticOrigin("eks", "127.0.0.1:1")}, Retries: &crossfadev1.Retries{On: []string{policy.NoRetries}},
		}
	}
	settings, services := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name},
		service("two", "http2", f.ports[0], l.frames.address), service("one", "http1", f.ports[1], l.wire.address))
	f.publish(settings, services)
	return l
}

// settling is the first line, but for the version, of a request that waits for those before it.
const settling = "GET /settling HTTP"

var settle2 = head2(true, to2("GET", "/settling")...)

// ask has one conversation.
func (l *h2Lab) ask(t *testing.T, address string, send []step) []message {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := newPeer(c).ask2(send)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// compare has the three conversations of a case.
func (l *h2Lab) compare(t *testing.T, o odd2) row2 {
	t.Helper()
	try := func(address string) exchange {
		l.frames.expect(o.answer)
		e := exchange{got: l.ask(t, address, o.send)}
		// What Envoy passed on before it gave up may still be on its way; a later request is behind it, on the same connection.
		l.ask(t, address, []step{settle2})
		e.saw = comparable2(l.frames.seen())
		return e
	}
	direct := try(l.frames.address)
	if len(direct.saw) != 1 || len(direct.got) == 0 {
		t.Fatalf("%s: directly, the origin saw %v and the client got %v", o.name, direct.saw, direct.got)
	}
	proxied := try(net.JoinHostPort(l.host, l.port2))
	origin2, client := differences2(direct, proxied, l.port2)
	r := row2{name: o.name, origin2: cell(origin2), client: cell(client), answer: o.answer != nil}
	if r.answer {
		return r
	}
	l.wire.expect([]string{fine})
	one := net.JoinHostPort(l.host, l.port1)
	got := l.ask(t, one, o.send)
	l.ask(t, one, []step{settle2})
	saw := slices.DeleteFunc(comparable2(l.wire.seen()), func(m message) bool { return m.start == settling+"/1.1" })
	origin1, _ := differences2(exchange{saw: asHTTP1(direct.saw), got: direct.got}, exchange{saw: saw, got: got}, l.port1)
	r.origin1 = cell(origin1)
	return r
}

// differences2 is [differences] for exchanges that may end with a stream or a connection.
func differences2(direct, proxied exchange, port string) (origin, client []string) {
	origin = []string{"nothing"}
	if len(proxied.saw) > 0 {
		origin = requestDifferences(direct.saw, proxied.saw, port)
	}
	if refusal := refused(proxied); refusal != "" {
		return origin, []string{refusal}
	}
	if d, p := ended(direct.got), ended(proxied.got); d != p {
		if d == whole {
			return origin, []string{p}
		}
		return origin, []string{changed("", d, p)}
	}
	return origin, answerDifferences(direct.got, proxied.got)
}

const whole = "an answer"

// ended says how the last message came about: whole, or by the end of something.
func ended(got []message) string {
	last := got[len(got)-1].start
	if strings.HasPrefix(last, "HTTP/") {
		return whole
	}
	return last
}

// comparable2 gives names the form in which they are compared: those of HTTP/1.1 in lower case, and what we add as in the table.
func comparable2(all []message) []message {
	for _, m := range all {
		for _, fields := range [][][2]string{m.header, m.trailer} {
			for i, f := range fields {
				if strings.HasSuffix(m.start, "HTTP/1.1") {
					fields[i][0] = strings.ToLower(f[0])
				}
				switch fields[i][0] {
				case "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port":
					fields[i][0] = http.CanonicalHeaderKey(f[0])
				}
			}
		}
	}
	return all
}

// asHTTP1 is what an origin of HTTP/1.1 should see of requests over HTTP/2.
func asHTTP1(all []message) []message {
	out := make([]message, 0, len(all))
	for _, m := range all {
		m.start = strings.TrimSuffix(m.start, "HTTP/2") + "HTTP/1.1"
		host, header := m.get(":authority"), [][2]string(nil)
		for _, h := range m.header {
			if !strings.HasPrefix(h[0], ":") && (h[0] != "host" || host == "") {
				header = append(header, h)
			}
		}
		if host != "" {
			header = append([][2]string{{"host", authority(m)}}, header...)
		}
		m.header = header
		out = append(out, m)
	}
	return out
}

// authority as it was written.
func authority(m message) string {
	for _, h := range m.header {
		if h[0] == ":authority" {
			return h[1]
		}
	}
	return ""
}
