package bolt

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestACompactedStoreIsStillItsOwners: its new file has owner, group and mode of the old one, whoever compacts it; and it is where the old one
// was, not in place of a link to that.
func TestACompactedStoreIsStillItsOwners(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "db"), filepath.Join(dir, "link")
	s := openStore(t, path)
	fill(t, s)
	want := told(t, s)
	closeStore(t, s)
	if err := os.Symlink("db", link); err != nil {
		t.Fatal(err)
	}
	const mode fs.FileMode = 0o640
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can give a file away
		uid, gid = 12345, 23456
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(link); err != nil {
		t.Fatal(err)
	}
	now, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(old, now) {
		t.Fatal("it is the old file")
	}
	of, ok := now.Sys().(*syscall.Stat_t)
	if !ok || int(of.Uid) != uid || int(of.Gid) != gid || now.Mode() != mode {
		t.Errorf("the new file is of %d:%d with mode %v, want %d:%d and %v", of.Uid, of.Gid, now.Mode(), uid, gid, mode)
	}
	if to, err := os.Readlink(link); err != nil || to != "db" {
		t.Errorf("the link leads to %q (%v)", to, err)
	}
	if have := told(t, openStore(t, link)); have != want {
		t.Errorf("it says\n%.500s\nwant\n%.500s", have, want)
	}
}
