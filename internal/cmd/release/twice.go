package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// runTwice builds from two copies of the source and compares what comes out.
func (p plan) runTwice(ctx context.Context) error {
	var outs []string
	for _, name := range []string{"one", "another-folder-with-a-longer-name"} {
		dir, err := os.MkdirTemp("", "release-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		q := p
		q.root, q.out = filepath.Join(dir, name), filepath.Join(dir, "dist")
		q.env = []string{"GOCACHE=" + filepath.Join(dir, "cache")}
		if err := copySource(ctx, p.root, q.root); err != nil {
			return err
		}
		fmt.Printf("building %s in %s\n", p.version, q.root)
		if err := q.run(ctx); err != nil {
			return err
		}
		outs = append(outs, q.out)
	}
	if err := same(outs[0], outs[1]); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(outs[0], sumsFile))
	if err != nil {
		return err
	}
	fmt.Printf("both builds are the same, byte for byte:\n%s", sums)
	return nil
}

// copySource copies the files that git knows, or would know, into a new folder. The history does not go along.
func copySource(ctx context.Context, root, into string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w: %s", err, complaints.String())
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(into, name), text, modeOf(info.Mode())); err != nil {
			return err
		}
	}
	return nil
}

// same compares two folders, files of files included. The error names what differs.
func same(a, b string) error {
	names, err := list(a)
	if err != nil {
		return err
	}
	others, err := list(b)
	if err != nil {
		return err
	}
	if !slices.Equal(names, others) {
		return fmt.Errorf("one build has %v, the other %v", names, others)
	}
	var differ []error
	for _, name := range names {
		equal, err := sameFile(filepath.Join(a, name), filepath.Join(b, name))
		if err != nil {
			return err
		}
		if !equal {
			differ = append(differ, fmt.Errorf("%s differs", name))
		}
	}
	return errors.Join(differ...)
}

// list returns the files below a folder, sorted.
func list(folder string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		out = append(out, relative)
		return err
	})
	return out, err
}

// sameFile compares contents and mode.
func sameFile(a, b string) (bool, error) {
	f, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer g.Close()
	fi, errF := f.Stat()
	gi, errG := g.Stat()
	if err := errors.Join(errF, errG); err != nil {
		return false, err
	}
	if fi.Size() != gi.Size() || fi.Mode() != gi.Mode() {
		return false, nil
	}
	x, errF := io.ReadAll(f)
	y, errG := io.ReadAll(g)
	return bytes.Equal(x, y), errors.Join(errF, errG)
}
