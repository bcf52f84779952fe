package experiment

import (
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
)

// TestAFullDisk: the report lives on in memory, which is said once.
func TestAFullDisk(t *testing.T) {
	smalldisk.Run(t, func(t *testing.T, disk smalldisk.Disk) {
		w := newWorld(t, disk.Dir, nil)
		disk.Fill()
		doc := w.run(nil)
		c := w.connect("one", nil)
		c.share("try", 100)
		for range 3 {
			c.count(10, 0)
			c.tell(nil)
			c.taken()
			w.desk.save(w.time())
		}
		if said := w.log.takes(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be written") {
			t.Errorf("said %s", said)
		}
		if got := w.report("try"); got.GetCompared() != 30 {
			t.Errorf("compared %d", got.GetCompared())
		}
		disk.Release()
		w.desk.save(w.time())
		if said := w.log.takes(); !strings.Contains(said, "written again") {
			t.Errorf("said %s", said)
		}
		w.again(disk.Dir, doc)
		if got := w.report("try"); got.GetCompared() != 30 {
			t.Errorf("after a restart: compared %d", got.GetCompared())
		}
	})
}
