package journal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestFullDisk: a journal that exists works on a full disk; one that does not cannot be made there, and leaves nothing behind.
func TestFullDisk(t *testing.T) {
	smalldisk.Run(t, func(t *testing.T, d smalldisk.Disk) {
		path := filepath.Join(d.Dir, "journal")
		j := openJournal(t, path)
		d.Fill()
		if err := os.WriteFile(filepath.Join(d.Dir, "other"), make([]byte, 1<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		for range 3 {
			for {
				if _, err := j.Append(t.Context(), make([]byte, 5000)); errors.Is(err, ErrFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range j.Pending() {
				if err := j.Done(t.Context(), e.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(t, j, "safe")
		closeJournal(t, j)
		j = openJournal(t, path)
		expect(t, j, "safe")
		if os.Getenv("CROSSFADE_SMALL_DISK_KIND") == "tmpfs" {
			if _, err := Open(filepath.Join(d.Dir, "late")); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a new journal on a full disk: %v", err)
			}
			if files, _ := filepath.Glob(filepath.Join(d.Dir, "late*")); len(files) != 0 {
				t.Fatalf("left behind: %v", files)
			}
		}
	})
}
