package awstest

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// MotoVersion is the version of moto that tests run; moto.lock pins it with all that it needs.
const MotoVersion = "5.2.5"

//go:embed moto.lock
var motoLock []byte

// motoServer returns the path of moto_server in the cache, installing it first if it is not there: about 45 MB from PyPI. What takes long
// is told to progress. Of several processes that call it at once, one installs.
func motoServer(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := envoybin.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "moto", MotoVersion)
	server, whole := filepath.Join(dir, "bin", "moto_server"), filepath.Join(dir, "whole")
	if isWhole(whole) {
		return server, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := envoybin.Lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isWhole(whole) {
		return server, nil // another process was faster
	}
	fmt.Fprintf(progress, "installing moto %s from PyPI, once, into %s\n", MotoVersion, dir)
	if err := pipInstall(ctx, dir); err != nil {
		return "", fmt.Errorf("installing moto %s: %w", MotoVersion, err)
	}
	return server, os.WriteFile(whole, motoLock, 0o644)
}

// isWhole says that an installation was finished, and is of the lock file that we have.
func isWhole(mark string) bool {
	has, err := os.ReadFile(mark)
	return err == nil && string(has) == string(motoLock)
}

// pipInstall makes the virtual environment in place, for it cannot be moved: its scripts name the Python they run. The mark that the
// caller writes afterwards says that it is whole.
func pipInstall(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := run(ctx, "python3", "-m", "venv", dir); err != nil {
		return fmt.Errorf("%w; Python 3.11 or newer with its venv module is needed", err)
	}
	requirements := filepath.Join(dir, "moto.lock")
	if err := os.WriteFile(requirements, motoLock, 0o644); err != nil {
		return err
	}
	return run(ctx, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary=:all:", "--require-hashes", "-r", requirements)
}

// run runs a command; its error holds what the command printed.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return nil
}
