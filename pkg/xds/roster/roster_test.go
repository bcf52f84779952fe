package roster

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

func open(path string) (*File, *bytes.Buffer) {
	var log bytes.Buffer
	return Open(path, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func some(names ...string) []xds.Memory {
	var out []xds.Memory
	for _, name := range names {
		out = append(out, xds.Memory{Fleet: "default", Proxy: name, Version: "1.40.0", LastSeen: time.Now().UTC(), AckedRevision: 7})
	}
	return out
}

// TestRun writes what has changed, every few seconds at most, and at the end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "proxies.json")
		f, log := open(path)
		if got := f.Read(); got != nil {
			t.Fatalf("before there is a file: %v", got)
		}
		var now atomic.Pointer[[]xds.Memory]
		set := func(names ...string) []xds.Memory {
			m := some(names...)
			now.Store(&m)
			return m
		}
		first := set("a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run(ctx, func() []xds.Memory { return *now.Load() })
		}()
		expect := func(when string, want []xds.Memory) {
			t.Helper()
			synctest.Wait()
			again, log := open(path)
			if got := again.Read(); !reflect.DeepEqual(got, want) || log.Len() > 0 {
				t.Fatalf("%s: %v, want %v %s", when, got, want, log)
			}
		}
		expect("at once", nil)
		time.Sleep(Every)
		expect("after a while", first)
		set("a") // connected: only the time differs
		time.Sleep(Every)
		expect("a moment later", first)
		second := set("a", "b")
		time.Sleep(Every)
		expect("another one", second)
		time.Sleep(refresh)
		expect("nobody was seen again", second)
		third := set("a", "b")
		time.Sleep(Every)
		expect("seen a minute later", third)
		last := set("b")
		cancel()
		<-done
		expect("at the end", last)
		if log.Len() > 0 {
			t.Errorf("said %s", log)
		}
	})
}

// TestDamaged: whatever is in the file, it is said once and replaced.
func TestDamaged(t *testing.T) {
	for name, tt := range map[string]struct{ content, words string }{
		"empty":      {"", "it is damaged"},
		"cut off":    {`{"version":1,"proxies":[{"fleet":"default","pro`, "it is damaged"},
		"text":       {"hello", "it is damaged"},
		"newer":      {`{"version":2,"proxies":{}}`, "it is damaged"},
		"newer too":  {`{"version":2,"proxies":[]}`, "version 2"},
		"other JSON": {`{}`, "version 0"},
		"a bad time": {`{"version":1,"proxies":[{"fleet":"f","proxy":"p","lastSeen":"yesterday"}]}`, "it is damaged"},
		"too long":   {strings.Repeat(" ", maxSize+1), "more than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "proxies.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			f, log := open(path)
			if got := f.Read(); got != nil || !strings.Contains(log.String(), tt.words) || !strings.Contains(log.String(), path) {
				t.Fatalf("%v, %s", got, log)
			}
			f.save(some("a"))
			if got := f.Read(); len(got) != 1 {
				t.Errorf("after a write: %v, %s", got, log)
			}
		})
	}
}

// FuzzParse: whatever is in the file, reading it does not panic, and what it says can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"proxies":[{"fleet":"default","proxy":"a","version":"1.40.0","lastSeen":"2026-11-24T22:00:00Z","ackedRevision":7}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		memories, err := parse(data)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "proxies.json")
		file, _ := open(path)
		if err := file.write(memories); err != nil {
			t.Fatal(err)
		}
		if again, err := file.read(); err != nil || len(again) != len(memories) {
			t.Errorf("%v, then %v, %v", memories, again, err)
		}
	})
}
