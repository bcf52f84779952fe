package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
)

// TestAServerLooksOnceMore for a restore when it has its store: one may have begun since it looked first.
func TestAServerLooksOnceMore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		d, err := openDisk(dir)
		if err == nil {
			err = d.close()
		}
		opened <- err
	}()
	waiting := func() bool { // it has looked, and waits for the lock
		n := 0
		entries, _ := os.ReadDir("/proc/self/fd")
		for _, e := range entries {
			if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && to == path {
				n++
			}
		}
		return n == 2 || len(opened) > 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, poll.True(waiting)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, restoring), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err == nil || !strings.Contains(err.Error(), "was not finished") {
		t.Fatalf("it opened a store beside a restore: %v", err)
	}
}
