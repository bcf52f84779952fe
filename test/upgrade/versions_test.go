package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	// variable names another commit, branch or tag to upgrade from.
	variable = "CROSSFADE_UPGRADE_FROM"
	// beforeReleases is what is upgraded from while there are no tags: the last commit that knows no TLS.
	beforeReleases = "0eac4d9939ac873e6a9cdecac84507f8ab608fbd"
)

// version is a pair of programs.
type version struct {
	name              string
	server, shadowctl string
	same              bool // it is today's source under another name, as the history is not here
}

var before, today version

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "crossfade-upgrade-*")
		if err == nil {
			defer os.RemoveAll(dir)
			err = build(context.Background(), dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build makes the programs of both versions.
func build(ctx context.Context, dir string) error {
	today.name = "today"
	var err, errCtl error
	today.server, err = stack.Build(ctx, dir, "xds-server")
	today.shadowctl, errCtl = stack.Build(ctx, dir, "shadowctl")
	if err := errors.Join(err, errCtl); err != nil {
		return err
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	commit, err := previous(ctx, root)
	switch {
	case err == nil:
		before = version{name: commit}
		dir, err = cached(ctx, root, commit)
	case os.Getenv(variable) != "":
		return err // it was asked for
	default:
		// Without the history a restart is still an upgrade in everything but the code.
		fmt.Fprintf(os.Stderr, "upgrade: %v; today's source under another name stands in for the version before\n", err)
		before = version{name: "v0.0.0-before", same: true}
		dir = filepath.Join(dir, "before")
		err = compile(ctx, root, before.name, dir)
	}
	before.server, before.shadowctl = filepath.Join(dir, "xds-server"), filepath.Join(dir, "shadowctl")
	return err
}

// cached returns the folder with the programs of a commit. They are built once: a commit does not change.
func cached(ctx context.Context, root, commit string) (string, error) {
	cache, err := envoybin.CacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "upgrade")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, commit+"-"+runtime.Version())
	unlock, err := envoybin.Lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work, err := os.MkdirTemp(cache, "build-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	source, out := filepath.Join(work, "source"), filepath.Join(work, "bin")
	if err := checkOut(ctx, root, commit, source); err != nil {
		return "", err
	}
	if err := compile(ctx, source, commit, out); err != nil {
		return "", err
	}
	return dir, os.Rename(out, dir)
}

// compile builds the programs of a source, under a name.
func compile(ctx context.Context, source, name, out string) error {
	return run(ctx, source, "go", "build", "-ldflags", "-X github.com/crossfade-proxy/crossfade/internal/version.stamped="+name,
		"-o", out+string(filepath.Separator), "./cmd/xds-server", "./cmd/shadowctl")
}

// previous returns the commit of the version before: what the variable names, else the newest release, else [beforeReleases].
func previous(ctx context.Context, root string) (string, error) {
	want := os.Getenv(variable)
	if want == "" {
		want = beforeReleases
		if tag, err := output(ctx, root, "git", "describe", "--tags", "--match", "v*", "--abbrev=0", "HEAD^"); err == nil {
			want = tag
		}
	}
	commit, err := output(ctx, root, "git", "rev-parse", "--verify", "--quiet", want+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("the commit %s is not here: %w", want, err)
	}
	return commit[:12], nil
}

// checkOut writes the files of a commit into a new folder; the work tree is not touched.
func checkOut(ctx context.Context, root, commit, into string) error {
	if err := os.Mkdir(into, 0o700); err != nil {
		return err
	}
	archive := into + ".tar"
	if err := run(ctx, root, "git", "archive", "--format=tar", "--output="+archive, commit); err != nil {
		return err
	}
	return run(ctx, into, "tar", "-xf", archive)
}

func run(ctx context.Context, dir, name string, args ...string) error {
	_, err := output(ctx, dir, name, args...)
	return err
}

// output runs a command in a folder and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
