package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tree makes a folder with two files, whose times and modes are as they happen to be.
func tree(t *testing.T, umask os.FileMode, age time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/xds-server": 0o777, "docs/a.md": 0o666} {
		path := filepath.Join(dir, name)
		if err := write(path, []byte(name), mode&^umask); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, when.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackIsTheSame: who packed, when and where has no part in an archive.
func TestPackIsTheSame(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for out, source := range map[string]string{a: tree(t, 0o022, time.Hour), b: tree(t, 0o077, 24*time.Hour)} {
		if err := pack(filepath.Join(out, "x.tar.gz"), source, "crossfade-v1", when); err != nil {
			t.Fatal(err)
		}
		if err := writeSums(out, []string{"x.tar.gz"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := same(a, b); err != nil {
		t.Error(err)
	}
	if got, want := entries(t, filepath.Join(a, "x.tar.gz")), []string{
		"crossfade-v1/bin/xds-server 755 root 2026-01-02T03:04:05Z bin/xds-server", "crossfade-v1/docs/a.md 644 root 2026-01-02T03:04:05Z docs/a.md",
	}; !slices.Equal(got, want) {
		t.Errorf("the archive has %q, want %q", got, want)
	}
}

// entries describes the files of an archive.
func entries(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %o %s %s %s", h.Name, h.Mode, h.Uname, h.ModTime.UTC().Format(time.RFC3339), text))
	}
}

// TestSameSeesEveryDifference: of content, of mode, of names.
func TestSameSeesEveryDifference(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"docs/a.md differs":      func(dir string) error { return write(filepath.Join(dir, "docs/a.md"), []byte("docs/b.md"), 0o644) },
		"bin/xds-server differs": func(dir string) error { return os.Chmod(filepath.Join(dir, "bin/xds-server"), 0o644) },
		"the other":              func(dir string) error { return os.Remove(filepath.Join(dir, "docs/a.md")) },
	} {
		a, b := tree(t, 0o022, 0), tree(t, 0o022, 0)
		if err := same(a, b); err != nil {
			t.Fatal(err)
		}
		if err := change(b); err != nil {
			t.Fatal(err)
		}
		if err := same(a, b); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"": "-version must be", "-version v1/../x": "-version must be", "-version v1 -platforms linux/amd64,plan9/386": `"plan9/386" must be linux/amd64 or linux/arm64`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "soon")
	if _, err := parse([]string{"-version", "v1"}); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Error(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1767323045")
	if p, err := parse([]string{"-version", "v1.2.3-rc.1+a"}); err != nil || !p.when.Equal(when) || len(p.platforms) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestOutIsReplacedOnlyIfOurs: a folder with somebody's files stays as it is.
func TestOutIsReplacedOnlyIfOurs(t *testing.T) {
	p := plan{out: tree(t, 0o022, 0)}
	if err := p.clear(); err == nil || !strings.Contains(err.Error(), "choose another folder") {
		t.Error(err)
	}
	if names, err := list(p.out); err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
	if err := os.WriteFile(filepath.Join(p.out, mark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.clear(); err != nil {
		t.Error(err)
	}
	if names, err := list(p.out); err != nil || !slices.Equal(names, []string{mark}) {
		t.Errorf("%v, %v", names, err)
	}
}

// TestExtrasAreThere: what goes along exists, without code and without what only tests read.
func TestExtrasAreThere(t *testing.T) {
	out, root := t.TempDir(), filepath.Join("..", "..", "..")
	for _, extra := range extras {
		if err := copyTree(root, out, extra); err != nil {
			t.Error(err)
		}
	}
	names, err := list(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LICENSE", "docs/install.md", "deploy/envoy/run.sh", "deploy/container/start.sh", "deploy/ci/examples/go/main.go", "deploy/systemd/xds-server.service", "deploy/kubernetes/proxy.yaml"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".go") && !strings.Contains(name, "/examples/") || strings.Contains(name, "testdata") {
			t.Errorf("%s goes along", name)
		}
	}
	for source := range programs {
		if _, err := os.Stat(filepath.Join(root, source)); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(filepath.Join(out, "deploy/envoy/run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh cannot be run: %v, %v", info, err)
	}
}
