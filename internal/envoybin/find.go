package envoybin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The pinned versions: every test of what Envoy does runs on both.
const (
	Newest = "1.40.0" // run by the demo and the benchmarks
	Oldest = "1.37.0" // the oldest that is supported
)

// EnvPath is the environment variable that names an Envoy to use instead of the pinned one.
const EnvPath = "CROSSFADE_ENVOY"

// Source says where a binary came from.
type Source string

// The sources of a binary.
const (
	FromEnv   Source = "$" + EnvPath
	FromCache Source = "pinned package"
	FromPath  Source = "PATH"
)

// Binary is an Envoy that can be run.
type Binary struct {
	Path    string // absolute
	Version string // as the binary itself says, for example "1.40.0"
	Source  Source
}

// String says which Envoy this is, for people.
func (b Binary) String() string {
	return fmt.Sprintf("envoy %s (%s, %s)", b.Version, b.Source, b.Path)
}

// Find returns an Envoy of the given version, or another one that is at least [Oldest] if that version cannot be installed. What
// takes long, and what was decided, is told to progress, a line each. Of several processes that call it at once, one installs.
func Find(ctx context.Context, version string, progress io.Writer) (Binary, error) {
	b, err := Pinned(ctx, version, progress)
	if err == nil || os.Getenv(EnvPath) != "" {
		return b, err
	}
	onPath, pathErr := fromPath(ctx)
	if pathErr != nil {
		return Binary{}, errors.Join(err, pathErr)
	}
	fmt.Fprintf(progress, "envoy %s could not be installed (%v); using %s\n", version, err, onPath)
	return onPath, nil
}

// Pinned is [Find] without PATH: the version asked, or what $CROSSFADE_ENVOY names, or an error. Tests use it, for a test of two
// versions that runs the same binary twice proves less than it says.
func Pinned(ctx context.Context, version string, progress io.Writer) (Binary, error) {
	if path := os.Getenv(EnvPath); path != "" {
		b, err := inspect(ctx, path, FromEnv)
		if err != nil {
			return Binary{}, fmt.Errorf("%s: %w; unset it, or name an Envoy of at least %s", EnvPath, err, Oldest)
		}
		return b, nil
	}
	path, err := install(ctx, version, progress)
	if err != nil {
		return Binary{}, err
	}
	return inspect(ctx, path, FromCache)
}

// fromPath looks for an Envoy on PATH that is new enough.
func fromPath(ctx context.Context) (Binary, error) {
	path, err := exec.LookPath("envoy")
	if err != nil {
		return Binary{}, fmt.Errorf("no envoy on PATH either; set %s to one of at least %s", EnvPath, Oldest)
	}
	return inspect(ctx, path, FromPath)
}

// inspect asks the binary for its version, and refuses one that is too old.
func inspect(ctx context.Context, path string, source Source) (Binary, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, abs, "--version").CombinedOutput()
	if err != nil {
		return Binary{}, fmt.Errorf("%s --version: %w: %s", abs, err, strings.TrimSpace(string(out)))
	}
	version, err := parseVersion(string(out))
	if err != nil {
		return Binary{}, fmt.Errorf("%s: %w", abs, err)
	}
	if !atLeast(version, Oldest) {
		return Binary{}, fmt.Errorf("%s is envoy %s, older than %s", abs, version, Oldest)
	}
	return Binary{Path: abs, Version: version, Source: source}, nil
}

var versionPattern = regexp.MustCompile(`version: [0-9a-f]+/([0-9]+\.[0-9]+\.[0-9]+)`)

// parseVersion reads the version out of what `envoy --version` prints.
func parseVersion(out string) (string, error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("not the version of an envoy: %q", strings.TrimSpace(out))
	}
	return m[1], nil
}

// atLeast compares versions of three numbers.
func atLeast(version, least string) bool {
	a, b := strings.Split(version, "."), strings.Split(least, ".")
	for i := range b {
		if i >= len(a) {
			return false
		}
		x, errX := strconv.Atoi(a[i])
		y, errY := strconv.Atoi(b[i])
		if errX != nil || errY != nil {
			return false
		}
		if x != y {
			return x > y
		}
	}
	return true
}
