package envoybin

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestParseVersion(t *testing.T) {
	got, err := parseVersion("\n/x/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n")
	if err != nil || got != "1.40.0" {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "envoy 1.40.0", "GNU bash, version 5.2"} {
		if got, err := parseVersion(bad); err == nil {
			t.Errorf("%q: got %q, want an error", bad, got)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version string
		want    bool
	}{
		{"1.37.0", true},
		{"1.37.1", true},
		{"1.40.0", true},
		{"2.0.0", true},
		{"1.100.0", true},
		{"1.36.9", false},
		{"0.99.0", false},
		{"1.37", false},
		{"", false},
		{"1.x.0", false},
	} {
		if got := atLeast(c.version, Oldest); got != c.want {
			t.Errorf("atLeast(%q) = %v", c.version, got)
		}
	}
}

// TestPinned runs what it found: that is the proof.
func TestPinned(t *testing.T) {
	t.Setenv(EnvPath, "")
	for _, version := range []string{Newest, Oldest} {
		b, err := Pinned(t.Context(), version, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if b.Version != version || b.Source != FromCache {
			t.Errorf("asked %s, got %s", version, b)
		}
	}
}

// script writes an executable that prints what an Envoy of that version prints.
func script(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho 'envoy  version: abc0/"+version+"/Clean/RELEASE/BoringSSL'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvironmentWins(t *testing.T) {
	path := script(t, "1.38.2")
	t.Setenv(EnvPath, path)
	b, err := Find(t.Context(), Newest, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if b.Path != path || b.Version != "1.38.2" || b.Source != FromEnv {
		t.Errorf("got %s", b)
	}
}

func TestEnvironmentTooOldOrMissing(t *testing.T) {
	for _, path := range []string{script(t, "1.36.0"), filepath.Join(t.TempDir(), "none")} {
		t.Setenv(EnvPath, path)
		if b, err := Find(t.Context(), Newest, io.Discard); err == nil || !strings.Contains(err.Error(), EnvPath) {
			t.Errorf("got %s, %v; want an error that names %s", b, err, EnvPath)
		}
	}
}

// TestFallsBackToPath: an empty cache and no python3 leave only PATH, and Find says so; Pinned refuses.
func TestFallsBackToPath(t *testing.T) {
	t.Setenv(EnvPath, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path := script(t, "1.39.0")
	t.Setenv("PATH", filepath.Dir(path))
	var said strings.Builder
	b, err := Find(t.Context(), Newest, &said)
	if err != nil {
		t.Fatal(err)
	}
	if b.Source != FromPath || b.Version != "1.39.0" || !strings.Contains(said.String(), "could not be installed") {
		t.Errorf("got %s, said %q", b, said.String())
	}
	if b, err := Pinned(t.Context(), Newest, io.Discard); err == nil {
		t.Errorf("Pinned gave %s", b)
	}
	t.Setenv("PATH", filepath.Dir(script(t, "1.36.0")))
	if b, err := Find(t.Context(), Newest, io.Discard); err == nil {
		t.Errorf("too old, and yet found: %s", b)
	}
}

func TestUnknownVersion(t *testing.T) {
	t.Setenv(EnvPath, "")
	if _, err := Pinned(t.Context(), "1.2.3", io.Discard); err == nil || !strings.Contains(err.Error(), "not pinned") {
		t.Errorf("got %v", err)
	}
}

// TestLock: one holder at a time, and a waiter gives up with its context.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	var wg sync.WaitGroup
	var holders atomic.Int32
	for range 8 {
		wg.Go(func() {
			unlock, err := Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d hold the lock at once", n)
			}
			runtime.Gosched()
			holders.Add(-1)
			unlock()
		})
	}
	wg.Wait()
	unlock, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Lock(ctx, path); err == nil {
		t.Error("took a lock that is held")
	}
}
