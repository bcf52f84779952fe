package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store/backup"
)

// backedUp is a backup of a server with one service: its file, what is in it, and its revision.
func backedUp(t *testing.T) (path string, s backup.Summary, revision int64) {
	t.Helper()
	p := launch(t, filepath.Join(t.TempDir(), "backed-up"))
	apply(t, p, orders())
	for n := range int32(20) {
		if _, err := p.client().SetSplit(t.Context(), splitOf(n)); err != nil {
			t.Fatal(err)
		}
	}
	path, begin := p.backup()
	p.signal(syscall.SIGTERM)
	p.exit()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = backup.Read(bytes.NewReader(data), func(backup.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return path, s, begin.GetRevision()
}

func revisionOf(t *testing.T, p *process) int64 {
	t.Helper()
	info, err := p.client().GetServerInfo(t.Context(), &crossfadev1.GetServerInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return info.GetRevision()
}

// TestARestoreTakesNothingFromAServer that was started in its directory while it read the backup.
func TestARestoreTakesNothingFromAServer(t *testing.T) {
	from, summary, _ := backedUp(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := checkEmpty(dir); err != nil { // as it begins
		t.Fatal(err)
	}
	p := launch(t, dir)
	apply(t, p, orders())
	want := revisionOf(t, p)
	write := func() error {
		f, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return writeRestored(context.Background(), dir, f, summary)
	}
	if err := write(); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("while a server runs there: %v", err)
	}
	if have := revisionOf(t, p); have != want {
		t.Errorf("the server is at revision %d, want %d", have, want)
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
	if err := write(); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("after it was killed: %v", err)
	}
	if have := revisionOf(t, launch(t, dir)); have != want {
		t.Errorf("the next server is at revision %d, want %d", have, want)
	}
}

// TestTwoRestoresIntoOneDirectory at once: one makes it, the other says that it cannot, and what is made is whole.
func TestTwoRestoresIntoOneDirectory(t *testing.T) {
	from, _, want := backedUp(t)
	for range 3 {
		dir := filepath.Join(t.TempDir(), "data")
		a, b := command(t, nil, "restore", "--from", from, "--data-dir", dir), command(t, nil, "restore", "--from", from, "--data-dir", dir)
		a.begin()
		b.begin()
		<-a.ended
		<-b.ended
		if one, other := a.ProcessState.ExitCode(), b.ProcessState.ExitCode(); one+other != exitFailed || one*other != 0 {
			t.Fatalf("they exit with %d and %d: %s%s", one, other, a.stderr, b.stderr)
		}
		d, err := openDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		if have, err := d.store.Load(t.Context()); err != nil || have.Revision != want {
			t.Errorf("revision %d (%v), want %d", have.Revision, err, want)
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	m, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := restoreDir(t.Context(), &storeOptions{dataDir: dir, from: from}, io.Discard); err == nil || !strings.Contains(err.Error(), "another restore") {
		t.Errorf("beside another one: %v", err)
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	if err := restoreDir(t.Context(), &storeOptions{dataDir: dir, from: from}, io.Discard); err != nil {
		t.Errorf("after one that was killed: %v", err)
	}
}

// TestWhereARestoreGoes: into what is empty, also as a new disk is, and over what a restore that was killed has left; over nothing else.
func TestWhereARestoreGoes(t *testing.T) {
	from, _, _ := backedUp(t)
	for _, c := range []struct {
		name  string
		files map[string]string // text by name; a name that ends with / is a directory
		in    string            // of the error; "": it is restored
	}{
		{name: "nothing"},
		{name: "a new disk", files: map[string]string{"lost+found/": ""}},
		{name: "a file of that name", files: map[string]string{"lost+found": ""}, in: "lost+found"},
		{name: "a store", files: map[string]string{storeFile: ""}, in: storeFile},
		{name: "a restore that had seen nothing yet", files: map[string]string{restoring: ""}},
		{name: "a store beside that", files: map[string]string{restoring: "", storeFile: ""}, in: storeFile},
		{name: "a restore that had begun", files: map[string]string{restoring: "begun\n", storeFile: "half", storeFile + ".new": "half", journalFile: "half", journalFile + ".new123": "half", "lost+found/": ""}},
		{name: "another file beside that", files: map[string]string{restoring: "begun\n", tokenFile: ""}, in: tokenFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				path, err := filepath.Join(dir, name), error(nil)
				if strings.HasSuffix(name, "/") {
					err = os.Mkdir(path, 0o700)
				} else {
					err = os.WriteFile(path, []byte(text), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			err := restoreDir(t.Context(), &storeOptions{dataDir: dir, from: from}, io.Discard)
			if c.in != "" {
				if err == nil || !strings.Contains(err.Error(), c.in) {
					t.Fatalf("%v, want a word about %s", err, c.in)
				}
				for name, text := range c.files {
					if have, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(have) != text {
						t.Errorf("%s is %q (%v) now, want %q", name, have, err, text)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d, err := openDisk(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*.new*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
