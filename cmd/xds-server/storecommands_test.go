package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestDamagedBackupsAreRefused before anything is written, in 200 places.
func TestDamagedBackupsAreRefused(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	apply(t, p, orders())
	for n := range int32(20) {
		if _, err := p.client().SetSplit(t.Context(), splitOf(n)); err != nil {
			t.Fatal(err)
		}
	}
	from, _ := p.backup()
	good, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes", seed, len(good))
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 200 {
		bad := append([]byte(nil), good...)
		at := r.IntN(len(bad))
		if i%2 == 0 {
			bad = bad[:at]
		} else {
			bad[at] ^= 1 << r.IntN(8)
		}
		path, dir := filepath.Join(t.TempDir(), "bad"), filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		err := restoreDir(t.Context(), &storeOptions{dataDir: dir, from: path}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "damaged") && !strings.Contains(err.Error(), "newer") {
			t.Fatalf("place %d (%d): %v", i, at, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("place %d (%d): something was written: %v", i, at, err)
		}
	}
}

// TestKillWhileRestoring: a restore that is killed leaves a directory in which no server starts, and into which the next restore goes.
func TestKillWhileRestoring(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	apply(t, p, orders())
	for n := range int32(300) {
		r := splitOf(n)
		r.Options = &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE}
		if _, err := p.client().SetSplit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	from, begin := p.backup()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "data")
	unfinished := 0
	for range 20 {
		k := command(t, nil, "restore", "--from", from, "--data-dir", dir)
		k.begin()
		k.begun(filepath.Join(dir, restoring))
		kill := time.AfterFunc(time.Duration(r.IntN(20_000))*time.Microsecond, func() { _ = k.Process.Kill() })
		<-k.ended
		kill.Stop()
		if _, err := os.Lstat(filepath.Join(dir, restoring)); err == nil {
			unfinished++
			s := command(t, nil, append([]string{"--dev", "--data-dir", dir}, free()...)...)
			if code := s.runs(); code != exitFailed || !strings.Contains(s.stderr.String(), "was not finished") {
				t.Fatalf("a server on half a restore exits with %d: %s", code, s.stderr)
			}
		} else if err := os.RemoveAll(dir); err != nil { // it was finished, or had not begun
			t.Fatal(err)
		}
	}
	t.Logf("%d of 20 were killed while they wrote", unfinished)
	if unfinished == 0 {
		t.Fatal("none was killed while it wrote")
	}
	last := command(t, nil, "restore", "--from", from, "--data-dir", dir)
	if code := last.runs(); code != exitOK {
		t.Fatalf("the restore after that exits with %d: %s", code, last.stderr)
	}
	q := launch(t, dir)
	info, err := q.client().GetServerInfo(t.Context(), &crossfadev1.GetServerInfoRequest{})
	if err != nil || info.GetRevision() != begin.GetRevision() {
		t.Fatalf("revision %d (%v), want %d", info.GetRevision(), err, begin.GetRevision())
	}
}

// begun waits until a process has made a file, or has ended.
func (p *process) begun(file string) {
	p.t.Helper()
	err := poll.Until(p.t.Context(), time.Millisecond, poll.True(func() bool {
		select {
		case <-p.ended:
			return true
		default:
			_, err := os.Lstat(file)
			return err == nil
		}
	}))
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestCommandsOnADirectoryInUse are refused, and so is a restore over something.
func TestCommandsOnADirectoryInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, dir)
	apply(t, p, orders())
	from, _ := p.backup()
	for _, args := range [][]string{{"check"}, {"compact"}, {"restore", "--from", from}} {
		r := command(t, nil, append(args, "--data-dir", dir)...)
		if code := r.runs(); code != exitFailed || !strings.Contains(r.stderr.String(), "--data-dir") {
			t.Errorf("%s exits with %d: %s", args[0], code, r.stderr)
		}
	}
	p.signal(syscall.SIGTERM)
	p.exit()
	for _, name := range []string{"check", "compact", "check"} {
		r := command(t, nil, name, "--data-dir", dir)
		if code := r.runs(); code != exitOK {
			t.Errorf("%s exits with %d: %s", name, code, r.stderr)
		}
	}
	if q := launch(t, dir); q.ready.API == "" {
		t.Error("a server does not start on what was compacted")
	}
}

// TestTheLevelOfTheLogGoesBack after the time for which it was set.
func TestTheLevelOfTheLogGoesBack(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	set := func(level string, d time.Duration) *crossfadev1.SetLogLevelResponse {
		t.Helper()
		r := &crossfadev1.SetLogLevelRequest{Level: level}
		if d > 0 {
			r.Duration = durationpb.New(d)
		}
		out, err := p.admin().SetLogLevel(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := set("debug", time.Hour); out.GetLevel() != "debug" || out.GetConfigured() != "info" || out.GetUntil() == nil {
		t.Fatalf("%v", out)
	}
	p.await("a line at debug", func() bool { set("", 0); return strings.Contains(p.stderr.String(), "level=DEBUG msg=call") })
	set("debug", time.Second)
	p.await("the level to go back", func() bool { return set("", 0).GetLevel() == "info" })
	for _, bad := range []*crossfadev1.SetLogLevelRequest{
		{Level: "loud"},
		{Duration: durationpb.New(time.Hour)},
		{Level: "debug", Duration: durationpb.New(25 * time.Hour)},
		{Level: "debug", Duration: durationpb.New(-1)},
		{Level: "debug", Duration: durationpb.New(time.Second - 1)},
	} {
		if out, err := p.admin().SetLogLevel(t.Context(), bad); err == nil {
			t.Errorf("%v was taken: %v", bad, out)
		}
	}
}

// TestProfilesAreOffUnlessAskedFor.
func TestProfilesAreOffUnlessAskedFor(t *testing.T) {
	for flag, want := range map[string]int{"--profiling=false": 404, "--profiling": 200} {
		p := launch(t, filepath.Join(t.TempDir(), "data"), flag)
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
			if code, body := get(t, "http://"+p.ready.HTTP+path); code != want {
				t.Errorf("%s %s: %d, want %d: %.100s", flag, path, code, want, body)
			}
		}
		if code, _ := get(t, "http://"+p.ready.HTTP+"/readyz"); code != 200 {
			t.Errorf("%s: /readyz answers %d", flag, code)
		}
	}
}
