package roster

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
)

// TestFullDisk: the file stays as it was, which is said once, and is written again when there is room. Nothing is left behind.
func TestFullDisk(t *testing.T) {
	smalldisk.Run(t, func(t *testing.T, d smalldisk.Disk) {
		path := filepath.Join(d.Dir, "proxies.json")
		f, log := open(path)
		before := some("a")
		f.save(before)
		d.Fill()
		for range 3 {
			f.save(some("a", "b"))
		}
		if n := strings.Count(log.String(), "cannot be written"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
		if got := f.Read(); !reflect.DeepEqual(got, before) {
			t.Errorf("on the full disk: %v, want %v", got, before)
		}
		if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
			t.Errorf("left behind: %v", err)
		}
		d.Release()
		after := some("a", "b")
		f.save(after)
		if got := f.Read(); !reflect.DeepEqual(got, after) || !strings.Contains(log.String(), "written again") {
			t.Errorf("with room again: %v, want %v\n%s", got, after, log)
		}
	})
}
