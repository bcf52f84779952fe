package semantics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// usualTests are what a planted bug is tried on, in their short form.
const usualTests = "^(TestOddRequests|TestEnvoyDoesWhatTheModelSays|TestNobodyChangesSides)$"

// TestPlantedBugs tests the tests: the translator is built with one bug at a time, by an overlay that leaves its source as it is, and the
// tests of this package must fail. Without a bug they must pass. A run tries a few bugs by its seed, with CROSSFADE_FULL=1 all.
func TestPlantedBugs(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		if failed, output := tryBug(t, bug{file: "doc.go"}); failed {
			t.Fatalf("the tests fail without any bug:\n%s", output)
		}
	})
	for _, i := range random(3).Perm(len(bugs))[:run.bugs] {
		b := bugs[i]
		t.Run(strings.ReplaceAll(b.name, " ", "-"), func(t *testing.T) {
			failed, output := tryBug(t, b)
			if !failed {
				t.Fatalf("nobody notices that %s:\n%s", b.name, output)
			}
			t.Logf("caught: %s", complaint(output))
		})
	}
}

// TestBugsFit holds the list of bugs against the source, all of them in every run.
func TestBugsFit(t *testing.T) {
	if len(bugs) < 20 {
		t.Errorf("%d bugs, want 20", len(bugs))
	}
	for _, b := range bugs {
		if _, _, err := b.source(); err != nil {
			t.Error(err)
		}
	}
}

// source returns the file with the bug in it, and its path.
func (b bug) source() (path, text string, err error) {
	if path, err = filepath.Abs(filepath.Join("..", "..", "pkg", "xds", "translate", b.file)); err != nil {
		return "", "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	if b.from == "" {
		return path, string(data), nil
	}
	if n := strings.Count(string(data), b.from); n != 1 {
		return "", "", fmt.Errorf("the bug %q no longer fits: %s has %q %d times, want once; write it for the source as it is now", b.name, b.file, b.from, n)
	}
	return path, strings.Replace(string(data), b.from, b.to, 1), nil
}

// tryBug builds this package's tests with the bug and runs the short form.
func tryBug(t *testing.T, b bug) (failed bool, output string) {
	t.Helper()
	path, text, err := b.source()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed, overlay, binary := filepath.Join(dir, b.file), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "semantics.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("with the bug it does not build: %v\n%s", err, out)
	}
	tests := b.tests
	if tests == "" {
		tests = usualTests
	}
	cmd := exec.CommandContext(ctx, binary, "-test.short", "-test.failfast", "-test.run", tests)
	if os.Getenv(seedVariable) == "" {
		cmd.Env = append(os.Environ(), seedVariable+"=1") // so that what is caught once is always caught
	}
	out, err := cmd.CombinedOutput()
	output = string(out)
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && (!errors.As(err, &exit) || !strings.Contains(output, "--- FAIL: ")) {
		t.Fatalf("the tests ended by something else than a failure: %v, %v\n%s", err, ctx.Err(), output)
	}
	return err != nil, output
}

var complaintLine = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: .*(\n.*)?`)

// complaint is what the tests said first.
func complaint(output string) string { return strings.TrimSpace(complaintLine.FindString(output)) }
