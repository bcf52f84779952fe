package statsim

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestWhoReportsLoads: the bytes of those that sent load reports, of this reading alone; a stream without any, or a flush that failed, adds none.
func TestWhoReportsLoads(t *testing.T) {
	m := &Meter{}
	for _, id := range []string{"a", "b", "c"} {
		m.reported(id, 10, false)
		m.flushed(id, 100, Sent{}, time.Second, nil)
	}
	m.flushed("a", 100, Sent{}, time.Second, errors.New("refused"))
	m.reported("a", 1000, true)
	m.reported("b", 2000, true)
	r := m.Read()
	slices.Sort(r.Both)
	if want := []float64{1110, 2110}; !slices.Equal(r.Both, want) || len(r.Delays) != 3 || r.Counts.ReportBytes != 3030 || r.Counts.FlushBytes != 300 {
		t.Errorf("%+v, want %v", r, want)
	}
	m.flushed("a", 100, Sent{}, time.Second, nil)
	if r := m.Read(); len(r.Both) != 0 || len(r.Delays) != 1 || r.Counts.FlushBytes != 400 {
		t.Errorf("%+v", r)
	}
}
