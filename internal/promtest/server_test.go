package promtest_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/promtest"
)

// TestScrapes: a real Prometheus is to be had, scrapes what the test sets, and is gone after Kill.
func TestScrapes(t *testing.T) {
	target := promtest.NewTarget(t)
	target.Set(`answers_total{code="500"}`, 7)
	s := promtest.Start(t, target.Addr)
	s.Await(`answers_total{code="500"} == 7`)
	s.Kill()
	if resp, err := http.Get(s.URL + "/-/ready"); err == nil {
		resp.Body.Close()
		t.Error("answers after Kill")
	}
}

// TestNamedBinaryIsTaken: whoever has another Prometheus need not build one.
func TestNamedBinaryIsTaken(t *testing.T) {
	t.Setenv(promtest.EnvPath, os.Args[0])
	if path, err := promtest.Binary(t.Context(), io.Discard); err != nil || path != os.Args[0] {
		t.Errorf("got %s, %v", path, err)
	}
}

// TestWithoutSourcesItSaysWhatToDo: a machine that cannot build is told how else.
func TestWithoutSourcesItSaysWhatToDo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	if _, err := promtest.Binary(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), promtest.EnvPath) {
		t.Errorf("got %v, want an error that names %s", err, promtest.EnvPath)
	}
}
