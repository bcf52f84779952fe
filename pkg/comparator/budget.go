package comparator

import (
	"net/http"
	"sync/atomic"
)

// budget is how many bytes all bodies may take together. Who gets none does not wait.
type budget struct {
	most int64
	used atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

// loan is what one copy has of a budget, with the answers to it.
type loan struct {
	from  *budget
	bytes atomic.Int64
}

// grow takes n bytes more, or says that there are none.
func (l *loan) grow(n int64) bool {
	if !l.from.take(n) {
		return false
	}
	l.bytes.Add(n)
	return true
}

// shrink gives n bytes back.
func (l *loan) shrink(n int64) {
	l.bytes.Add(-n)
	l.from.used.Add(-n)
}

// end gives all of it back.
func (l *loan) end() { l.from.used.Add(-l.bytes.Swap(0)) }

// headerBytes is about what headers take.
func headerBytes(h http.Header) (sum int64) {
	for name, values := range h {
		sum += int64(len(name)) + 64
		for _, v := range values {
			sum += int64(len(v)) + 16
		}
	}
	return sum
}
