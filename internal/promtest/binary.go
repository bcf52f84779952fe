package promtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// EnvPath is the environment variable that names a binary to use instead of building one.
const EnvPath = "CROSSFADE_PROMETHEUS"

const command = "github.com/prometheus/prometheus/cmd/prometheus"

// Binary returns the path of Prometheus, building it first if it is not in the cache. Of several processes that call it at once, one
// builds.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	if path := os.Getenv(EnvPath); path != "" {
		return path, nil
	}
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	version, sum, err := identity(module)
	if err != nil {
		return "", err
	}
	cache, err := envoybin.CacheDir()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, "prometheus", version+"-"+sum, "prometheus")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	unlock, err := envoybin.Lock(ctx, filepath.Dir(binary)+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil // another process was faster
	}
	fmt.Fprintf(progress, "building prometheus %s from source, once, into %s: this takes a minute or two\n", version, binary)
	return binary, build(ctx, module, binary)
}

// build builds beside the binary and renames: it is there whole or not at all.
func build(ctx context.Context, module, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	temp := binary + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "remove_all_sd", "-o", temp, command)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building prometheus in %s: %w: %s; %s may name a binary", module, err, strings.TrimSpace(string(out)), EnvPath)
	}
	return os.Rename(temp, binary)
}

// moduleDir finds the folder prometheus beside this file.
func moduleDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("this source file is not known")
	}
	dir := filepath.Join(filepath.Dir(file), "prometheus")
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%w; tests with a Prometheus run in the repository", err)
	}
	return dir, nil
}

var required = regexp.MustCompile(`github\.com/prometheus/prometheus (v[0-9.]+)`)

// identity returns the version that a module pins, and a sum over what the binary is made of.
func identity(module string) (version, sum string, err error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", "", err
		}
		if m := required.FindSubmatch(text); name == "go.mod" && m != nil {
			version = string(m[1])
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	if version == "" {
		return "", "", fmt.Errorf("%s/go.mod does not require github.com/prometheus/prometheus", module)
	}
	return version, fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}
