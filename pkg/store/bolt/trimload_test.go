package bolt

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestChangesHaveTheirTurnDuringATrim: while thousands of revisions go, changes are made; none waits for more than a few batches.
func TestChangesHaveTheirTurnDuringATrim(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "db"))
	for n := range 40 {
		c := commitOf()
		for i := range 100 {
			c.Writes = append(c.Writes, write(objectName(i), n, 500))
		}
		mustCommit(t, s, c)
	}
	type result struct {
		n    int
		took time.Duration
		err  error
	}
	trimmed := make(chan result, 1)
	go func() {
		began := time.Now()
		n, err := s.Trim(t.Context(), store.Retention{Keep: 48 * time.Hour}, now.Add(1000*time.Hour))
		trimmed <- result{n, time.Since(began), err}
	}()
	var waits []time.Duration
	for n := 0; ; n++ {
		select {
		case r := <-trimmed:
			if r.err != nil || r.n != 3900 {
				t.Fatalf("%d removed, error %v", r.n, r.err)
			}
			slices.Sort(waits)
			t.Logf("%d removed in %s; of %d changes half took %s, the slowest %s", r.n, r.took, len(waits), waits[len(waits)/2], waits[len(waits)-1])
			if len(waits) < 61 { // fewer than batches: they would have waited for one another
				t.Fatalf("only %d changes were made meanwhile", len(waits))
			}
			return
		default:
			began := time.Now()
			c := commitOf(write("orders", n, 500))
			c.Time = now.Add(1000 * time.Hour)
			mustCommit(t, s, c)
			waits = append(waits, time.Since(began))
		}
	}
}
