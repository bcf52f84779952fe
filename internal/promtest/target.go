package promtest

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// Target is something to scrape, whose values the test sets. It ends with the test.
type Target struct {
	Addr string // ADDRESS:PORT

	mu     sync.Mutex
	values map[string]float64
}

// NewTarget starts a target that has no values yet.
func NewTarget(t testing.TB) *Target {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	target := &Target{Addr: l.Addr().String(), values: map[string]float64{}}
	s := httptest.NewUnstartedServer(target)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return target
}

// Set gives a series its value: `errors{service="orders"}`, or a name alone.
func (t *Target) Set(series string, value float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values[series] = value
}

// Drop ends a series.
func (t *Target) Drop(series string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.values, series)
}

// ServeHTTP shows the values as Prometheus reads them.
func (t *Target) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, series := range slices.Sorted(maps.Keys(t.values)) {
		fmt.Fprintln(w, series, strconv.FormatFloat(t.values[series], 'g', -1, 64))
	}
}
