package telemetry

import (
	"encoding/binary"
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// credit is requests that are known now and were not before, and how many of them failed.
type credit struct{ requests, failures uint64 }

// tally is what was counted at an origin since it was last read.
type tally struct {
	credit
	owed      uint64 // requests that were given ahead, so that no window has more failures than requests
	histogram []timing
}

// timing is how many requests were in each bucket of one kind of histogram.
type timing struct {
	edges  *edges
	counts []uint64
}

func (t *tally) counted(n credit) {
	t.requests += n.requests
	t.failures += n.failures
}

// timed adds packed counts. Histograms that would be too much for a window, of proxies whose bootstraps differ, are left out.
func (t *tally) timed(e *edges, counts []byte) {
	i := slices.IndexFunc(t.histogram, func(h timing) bool { return h.edges == e })
	if i < 0 {
		total := len(*e)
		for _, h := range t.histogram {
			total += len(h.counts)
		}
		if total > guard.MaxBuckets {
			return
		}
		i = len(t.histogram)
		t.histogram = append(t.histogram, timing{e, make([]uint64, len(*e))})
	}
	into := t.histogram[i].counts
	for b := 0; len(counts) >= 8 && b < len(into); b, counts = b+1, counts[8:] {
		into[b] += binary.LittleEndian.Uint64(counts)
	}
}

// take returns what was counted, and forgets it.
func (t *tally) take() guard.Window {
	w := guard.Window{Completed: t.requests, Failed: t.failures}
	if w.Failed > w.Completed {
		// The answer was counted when it began, and broke later.
		t.owed += w.Failed - w.Completed
		w.Completed = w.Failed
	} else {
		paid := min(t.owed, w.Completed-w.Failed)
		t.owed, w.Completed = t.owed-paid, w.Completed-paid
	}
	for _, h := range t.histogram {
		w.Latency = guard.Join(guard.Window{Latency: w.Latency}, guard.Window{Latency: h.edges.buckets(h.counts)}).Latency
	}
	t.credit, t.histogram = credit{}, nil
	return w
}
