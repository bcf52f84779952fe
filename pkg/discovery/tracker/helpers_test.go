package tracker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

var (
	errDown = errors.New("down")
	orders  = Key{"orders", "eks"}
	pay     = Key{"payments", "eks"}
)

// endpoints reads "1 2d": endpoints 1 and 2, 2 draining.
func endpoints(text string) []discovery.Endpoint {
	var out []discovery.Endpoint
	for word := range strings.FieldsSeq(text) {
		name, draining := strings.CutSuffix(word, "d")
		e := discovery.Endpoint{Address: netip.MustParseAddrPort("10.0.0." + name + ":80"), Zone: "a", State: discovery.Ready}
		if draining {
			e.State = discovery.Draining
		}
		out = append(out, e)
	}
	return out
}

// text writes endpoints as endpoints reads them, and held ones as "1h".
func text(tracked []discovery.Tracked) string {
	var words []string
	for _, e := range tracked {
		name, _ := strings.CutPrefix(e.Address.Addr().String(), "10.0.0.")
		words = append(words, name+map[discovery.State]string{discovery.StateReady: "", discovery.StateDraining: "d", discovery.StateHeld: "h"}[e.State])
	}
	return strings.Join(words, " ")
}

// source is one that a test speaks for.
type source struct {
	looks chan discovery.Look
	begun chan struct{} // each time it is watched
	ends  chan error    // ends the watch
}

func newSource() *source {
	return &source{looks: make(chan discovery.Look), begun: make(chan struct{}, 1000), ends: make(chan error)}
}

// says tells a look; it returns when the look is taken, or soon will be.
func (s *source) says(what string) { s.looks <- look(what) }

// look reads what endpoints reads, "!" as an error, and "=" before it as meant.
func look(what string) discovery.Look {
	l := discovery.Look{At: time.Now()}
	if what == "!" {
		l.Err = errDown
		return l
	}
	what, l.Meant = strings.CutPrefix(what, "=")
	l.Endpoints = endpoints(what)
	return l
}

func (s *source) watch(ctx context.Context, tell func(discovery.Look)) error {
	s.begun <- struct{}{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.ends:
			return err
		case l := <-s.looks:
			tell(l)
		}
	}
}

// heard is what a tracker told, and when, in milliseconds since the test began.
type heard struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	ran   chan struct{} // if set, changed waits for it
}

func (h *heard) changed(keys []Key) {
	var names []string
	for _, k := range keys {
		names = append(names, k.Service)
	}
	h.mu.Lock()
	h.lines = append(h.lines, fmt.Sprintf("%d %s", time.Since(h.began).Milliseconds(), strings.Join(names, " ")))
	h.mu.Unlock()
	if h.ran != nil {
		<-h.ran
	}
}

// takes returns what was told since the last call.
func (h *heard) takes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.lines
	h.lines = nil
	return out
}

func (h *heard) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := h.takes(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// takes returns the lines since the last call.
func (l *logged) takes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.b.String()
	l.b.Reset()
	return out
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// expect checks what is believed of an origin.
func expect(t *testing.T, tr *Tracker, k Key, want string, known bool) {
	t.Helper()
	if got, gotKnown := tr.Endpoints(k); text(got) != want || gotKnown != known {
		t.Errorf("%v: believed %q, known %v; want %q, %v", k, text(got), gotKnown, want, known)
	}
}

func status(t *testing.T, tr *Tracker, k Key) Status {
	t.Helper()
	s, ok := tr.Status(k)
	if !ok {
		t.Fatalf("%v has no status", k)
	}
	return s
}

func closed(t *testing.T, tr *Tracker) {
	t.Helper()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

// heldNow returns the addresses that are held.
func heldNow(tr *Tracker, k Key) []netip.AddrPort {
	var out []netip.AddrPort
	s, _ := tr.Status(k)
	for _, e := range s.Endpoints {
		if e.State == discovery.StateHeld {
			out = append(out, e.Address)
		}
	}
	return out
}
