package journal

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestDoneWhere: what was in doubt is found too, be it that its write came late or that it failed and may have left the entry whole.
func TestDoneWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal")
		j := openJournal(t, path)
		add(t, j, "keep")
		hang := make(chan struct{})
		real := j.writeAt
		j.writeAt = func(b []byte, o int64) error {
			<-hang
			return real(b, o)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := j.Append(ctx, []byte("late")); !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		late := func(data []byte) bool { return string(data) != "keep" }
		if err := j.DoneWhere(t.Context(), late); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("while the write hangs: %v", err)
		}
		close(hang)
		synctest.Wait()
		fail := 2 // writes that fail, though the disk has them, or does not have what removes them
		j.writeAt = func(b []byte, o int64) error {
			if fail--; fail >= 0 {
				if fail == 1 {
					_ = real(b, o)
				}
				return errors.New("input/output error")
			}
			return real(b, o)
		}
		if _, err := j.Append(t.Context(), []byte("whole")); !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		if err := j.DoneWhere(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		expect(t, j, "keep")
		closeJournal(t, j)
		expect(t, openJournal(t, path), "keep")
	})
}
