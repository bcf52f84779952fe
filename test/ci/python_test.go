package ci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// pythonClient makes the Python example as its head says, and returns how it is run.
func pythonClient(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	python, dir := pythonWith(t, filepath.Join(root, "deploy", "ci", "examples", "python", "requirements.txt")), t.TempDir()
	argv := []string{"-m", "grpc_tools.protoc", "-I", filepath.Join(root, "api"), "--python_out=" + dir, "--grpc_python_out=" + dir}
	for _, proto := range []string{"api", "mirror", "rollout", "service"} {
		argv = append(argv, "crossfade/v1/"+proto+".proto")
	}
	command(t, python, argv...)
	script := filepath.Join(dir, "canary.py")
	b, err := os.ReadFile(filepath.Join(root, "deploy", "ci", "examples", "python", "canary.py"))
	if err == nil {
		err = os.WriteFile(script, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd { return exec.Command(python, append([]string{script}, args...)...) }
}

// pythonWith returns a Python that has what a file of requirements pins, from the cache or installed first: about 15 MB from PyPI.
func pythonWith(t *testing.T, requirements string) string {
	t.Helper()
	pins, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := envoybin.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "python-client", fmt.Sprintf("%x", sha256.Sum256(pins))[:16])
	python, whole := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "whole")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	unlock, err := envoybin.Lock(ctx, dir+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(whole); err == nil {
		return python
	}
	if err := os.RemoveAll(dir); err != nil { // of an installation that was cut off
		t.Fatal(err)
	}
	command(t, "python3", "-m", "venv", dir)
	command(t, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes", "-r", requirements)
	if err := os.WriteFile(whole, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

// command runs a command to its end.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &out)
	}
}
