package probes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// host is the one that routes of a setup are for.
const host = "probe.test"

// patience is how long anything may take that a probe waits for.
const patience = 20 * time.Second

// bench is an Envoy that a probe looks at.
type bench struct {
	t       *testing.T
	envoy   *envoytest.Envoy
	config  []byte            // the bootstrap
	at      map[string]string // addresses of listeners
	origins map[string]*origin.Origin
	ads     *puppet
}

// each runs probes of one setup on every version.
func each(t *testing.T, s setup, probes func(b *bench)) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.lead(s)
		b.envoy.AwaitReady()
		probes(b)
	})
}

// begin starts an Envoy, which may wait for its control plane.
func begin(t *testing.T, version string, s setup) *bench {
	t.Helper()
	b := &bench{t: t, at: map[string]string{}, origins: map[string]*origin.Origin{}, ads: newPuppet(t)}
	for _, name := range s.origins {
		o, err := origin.Start(origin.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		b.origins[name] = o
	}
	b.config = b.bootstrap(s)
	b.envoy = envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: b.config, NodeID: "probe", Cluster: "probes"})
	return b
}

// fact runs the probe of one fact. Should it fail, it says what of ours rests on the fact.
func (b *bench) fact(is, rests string, show func(b *bench)) {
	b.t.Run(is, func(t *testing.T) {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s does otherwise than this says. What rests on it: %s", b.envoy.Binary, rests)
			}
		})
		inner := *b
		inner.t = t
		show(&inner)
	})
}

// since says whether the Envoy at hand is at least of a version.
func (b *bench) since(major, minor int) bool {
	var x, y int
	if _, err := fmt.Sscanf(b.envoy.Binary.Version, "%d.%d.", &x, &y); err != nil {
		b.t.Fatal(err)
	}
	return x > major || x == major && y >= minor
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	origin string      // that answered; empty: Envoy itself
	saw    origin.Echo // what it saw
}

// String is "200 NAME" for an answer of an origin, "404" for one of Envoy's own.
func (a answer) String() string { return strings.TrimSpace(fmt.Sprint(a.status, " ", a.origin)) }

// get asks the first listener, with headers given as "name: value"; "host: X" is another host.
func (b *bench) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.ask("main", "GET", path, nil, headers...)
}

func (b *bench) ask(listener, method, path string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.at[listener]+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "host" {
			req.Host = value
		} else {
			req.Header[name] = append(req.Header[name], value) // as written
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.read(resp)
}

// read reads an answer to its end.
func (b *bench) read(resp *http.Response) answer {
	b.t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text), origin: resp.Header.Get("x-origin")}
	_ = json.Unmarshal(text, &a.saw) // bodies that are no echo stay text
	return a
}

// raw sends text on a connection of its own, reads the head of the answer and, before it closes the connection, calls meanwhile.
func (b *bench) raw(text string, meanwhile ...func()) answer {
	b.t.Helper()
	c, err := net.Dial("tcp", b.at["main"])
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range meanwhile {
		f()
	}
	return answer{status: resp.StatusCode, header: resp.Header, origin: resp.Header.Get("x-origin")}
}

// tries is how often a probe asks where chance decides: of two ways with half a chance each, one is missed once in 2^59.
const tries = 60

// want asks several times, and fails if the answers are others than these, or if one of these never comes.
func (b *bench) want(path string, want ...string) {
	b.t.Helper()
	want = slices.Clone(want)
	got := map[string]int{}
	for range tries {
		got[b.get(path).String()]++
	}
	slices.Sort(want)
	if seen := slices.Sorted(maps.Keys(got)); !slices.Equal(seen, want) {
		b.t.Errorf("%s is answered %v, want %v", path, got, want)
	}
}

// same compares.
func same[T comparable](b *bench, what string, got, want T) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// stat reads a counter or gauge.
func (b *bench) stat(name string) uint64 {
	b.t.Helper()
	n, err := b.envoy.Stat(context.Background(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// awaitStat waits until a counter or gauge has reached a value.
func (b *bench) awaitStat(name string, least uint64) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%s to be %d", name, least), func() bool {
		n, err := b.envoy.Stat(context.Background(), name)
		return err == nil && n >= least
	})
}

// eventually waits until ok.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, poll.True(ok)); err != nil {
		b.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// arrived waits until an origin has had as many requests since the start.
func (b *bench) arrived(name string, total int) []origin.Request {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d requests at %s", total, name), func() bool { return len(b.origins[name].Requests()) >= total })
	return b.origins[name].Requests()
}
