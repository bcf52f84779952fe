package kubetest

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
const EnvPath = "CROSSFADE_KUBE_APISERVER"

// sources are the files that a binary is made of, in the folder of its module.
var sources = []string{"go.mod", "go.sum", "main.go"}

// Binary returns the path of the API server, building it first if it is not in the cache. Of several processes that call it at once,
// one builds.
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
	dir := filepath.Join(cache, "kube-apiserver")
	binary := filepath.Join(dir, version+"-"+sum, "kube-apiserver")
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
	fmt.Fprintf(progress, "building kube-apiserver %s from source, once, into %s: this takes minutes\n", version, binary)
	return binary, build(ctx, module, version, binary)
}

// build builds beside the binary and renames: it is there whole or not at all.
func build(ctx context.Context, module, version, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, 18*time.Minute)
	defer cancel()
	temp := binary + ".new"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", temp,
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion="+version, ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building kube-apiserver in %s: %w: %s", module, err, strings.TrimSpace(string(out)))
	}
	return os.Rename(temp, binary)
}

// moduleDir finds tools/kube-apiserver of this repository.
func moduleDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("this source file is not known")
	}
	dir := filepath.Join(filepath.Dir(file), "..", "..", "tools", "kube-apiserver")
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%w; tests with a kube-apiserver run in the repository", err)
	}
	return dir, nil
}

var required = regexp.MustCompile(`k8s\.io/kubernetes (v[0-9.]+)`)

// identity returns the version of Kubernetes in a module, and a sum over what the binary is made of.
func identity(module string) (version, sum string, err error) {
	h := sha256.New()
	for _, name := range sources {
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
		return "", "", fmt.Errorf("%s/go.mod does not require k8s.io/kubernetes", module)
	}
	return version, fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}
