package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fill makes the tree of one platform.
func (p plan) fill(ctx context.Context, tree, platform string, completions map[string][]byte) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	for source, name := range programs {
		path, err := filepath.Abs(filepath.Join(tree, "bin", name))
		if err != nil {
			return err
		}
		if _, err := p.goRun(ctx, []string{"GOOS=" + goos, "GOARCH=" + goarch}, "build", "-trimpath", "-buildvcs=false",
			"-ldflags", p.ldflags(), "-o", path, "./"+source); err != nil {
			return err
		}
	}
	for name, text := range completions {
		if err := write(filepath.Join(tree, "completions", name), text, 0o644); err != nil {
			return err
		}
	}
	for _, extra := range extras {
		if err := copyTree(p.root, tree, extra); err != nil {
			return err
		}
	}
	// What a container's volume begins as: a folder of its own, so that it belongs to the right user.
	return write(filepath.Join(tree, "data", ".keep"), nil, 0o644)
}

// ldflags stamps the version, and leaves out what only debuggers read.
func (p plan) ldflags() string {
	return "-s -w -X " + module + "/internal/version.stamped=" + p.version
}

// completions are the scripts for shells, as the CLI prints them.
func (p plan) completions(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	for shell, name := range map[string]string{"bash": "shadowctl", "zsh": "_shadowctl", "fish": "shadowctl.fish"} {
		text, err := p.goRun(ctx, nil, "run", "./cmd/shadowctl", "completion", shell)
		if err != nil {
			return nil, err
		}
		if len(text) == 0 {
			return nil, fmt.Errorf("shadowctl completion %s printed nothing", shell)
		}
		out[filepath.Join(shell, name)] = text
	}
	return out, nil
}

// goRun runs the go command for programs without cgo, so that no compiler of the machine has a part in them.
func (p plan) goRun(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.root
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0"), append(env, p.env...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.Bytes(), nil
}

// copyTree copies a file or folder of the repository, without Go code and what tests need.
func copyTree(root, tree, name string) error {
	return filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) == ".go" && !strings.Contains(filepath.ToSlash(path), "/examples/"):
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return write(filepath.Join(tree, relative), text, modeOf(info.Mode()))
	})
}

// copyBeside copies what is handed out beside the archives, under the version's name, and returns the names.
func (p plan) copyBeside() ([]string, error) {
	if p.beside == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(p.beside)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(p.beside, e.Name()))
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("crossfade_%s_%s", p.version, e.Name())
		if err := write(filepath.Join(p.out, name), text, 0o644); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// modeOf is what a mode becomes: the umask of who checked the source out has no part in it.
func modeOf(m fs.FileMode) fs.FileMode {
	if m&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// write makes a file and its folders.
func write(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
