package bolt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// envCompact makes the test binary a process that compacts the store at this path, again and again until it is killed.
const envCompact = "CROSSFADE_BOLT_COMPACT"

// compactForEver prints a line before each time.
func compactForEver(path string) error {
	for {
		if _, err := os.Stdout.WriteString("go\n"); err != nil {
			return err
		}
		if _, _, err := Compact(path); err != nil {
			return err
		}
	}
}

// TestKillWhileCompacting kills a process that compacts at random points, 30 times on one file: all of it is there each time, and what the
// process left is in nobody's way.
func TestKillWhileCompacting(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	want := told(t, s)
	closeStore(t, s)
	leftovers := 0
	for range 30 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envCompact+"="+path)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(r.IntN(80_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		for b := make([]byte, 64); err == nil; {
			_, err = out.Read(b)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("it ended by itself: %v %s", err, &stderr)
		}
		kill.Stop()
		if _, err := os.Lstat(path + CompactSuffix); err == nil {
			leftovers++
		}
		s := openStore(t, path)
		if have := told(t, s); have != want {
			t.Fatalf("it says\n%s\nwant\n%s", have, want)
		}
		closeStore(t, s)
	}
	t.Logf("%d of 30 left a file that was not finished", leftovers)
}
