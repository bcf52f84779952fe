package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrForgotten: the log does not go back that far; [Config].Stamps says how far it does.
var ErrForgotten = errors.New("the origin's log does not go back that far")

// Request is a request as it arrived.
type Request struct {
	At      time.Duration // by [Now], when its head was complete
	Service string        // the host in lower case, without port and trailing dot
	Head    string        // HTTP/1: the bytes up to and with the empty line; empty for HTTP/2
	Echo                  // the parts
}

// stamp is what is kept of every request.
type stamp struct {
	at      time.Duration
	service int32
}

// log remembers requests. Stamps are in order of time.
type log struct {
	mu       *sync.Mutex
	total    uint64
	stamps   []stamp // a ring once it has its full length
	limit    int
	services map[string]int32
	counts   []uint64        // by service
	first    []time.Duration // by service
	last     []time.Duration // by service
	whole    []Request       // a ring once it has its full length
	keep     int
	kept     uint64
	waiting  map[chan struct{}]uint64 // waiters, with the total they wait for
}

func newLog(keep, stamps int) log {
	if keep == 0 {
		keep = 1024
	}
	if stamps <= 0 {
		stamps = 1 << 20
	}
	return log{mu: new(sync.Mutex), limit: stamps, keep: max(0, keep), services: map[string]int32{}, waiting: map[chan struct{}]uint64{}}
}

// arrived notes a request and returns its time.
func (l *log) arrived(service string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.services[service]
	if !ok {
		id = int32(len(l.counts))
		l.services[strings.Clone(service)] = id
		l.counts, l.first, l.last = append(l.counts, 0), append(l.first, 0), append(l.last, 0)
	}
	now := Now()
	if l.counts[id] == 0 {
		l.first[id] = now
	}
	s := stamp{at: now, service: id}
	if len(l.stamps) < l.limit {
		l.stamps = append(l.stamps, s)
	} else {
		l.stamps[l.total%uint64(l.limit)] = s
	}
	l.total++
	l.counts[id]++
	l.last[id] = now
	for waiter, total := range l.waiting {
		if l.total >= total {
			close(waiter)
			delete(l.waiting, waiter)
		}
	}
	return now
}

// keepWhole keeps a request whole.
func (l *log) keepWhole(r Request) {
	if l.keep == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.whole) < l.keep {
		l.whole = append(l.whole, r)
	} else {
		l.whole[l.kept%uint64(l.keep)] = r
	}
	l.kept++
}

// Total is the number of requests that have arrived since the start.
func (l *log) Total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Count is the number of requests for a service that have arrived since the start.
func (l *log) Count(service string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := l.services[service]; ok {
		return l.counts[id]
	}
	return 0
}

// First returns when the first request for a service arrived; ok is false if there was none.
func (l *log) First(service string) (at time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.services[service]
	if !ok {
		return 0, false
	}
	return l.first[id], true
}

// Last returns when the last request for a service arrived, of any service if it is empty; ok is false if there was none.
func (l *log) Last(service string) (at time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if service == "" {
		if l.total == 0 {
			return 0, false
		}
		return l.stamp(l.total - 1).at, true
	}
	id, ok := l.services[service]
	if !ok {
		return 0, false
	}
	return l.last[id], true
}

// CountSince is the number of requests for a service, of all services if it is empty, that arrived at or after a time of [Now].
// The error is [ErrForgotten].
func (l *log) CountSince(service string, since time.Duration) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, known := l.services[service]
	n := 0
	for i := l.total; i > l.total-uint64(len(l.stamps)); i-- {
		s := l.stamp(i - 1)
		if s.at < since {
			return n, nil
		}
		if service == "" || known && s.service == id {
			n++
		}
	}
	if l.total > uint64(len(l.stamps)) {
		return 0, fmt.Errorf("%w: it begins at %v", ErrForgotten, l.stamp(l.total-uint64(len(l.stamps))).at)
	}
	return n, nil
}

// stamp returns that of the i-th request, which must still be kept. The caller holds mu.
func (l *log) stamp(i uint64) stamp { return l.stamps[i%uint64(l.limit)] }

// Requests returns the requests that are kept whole, oldest first. A request is kept once its body has been read.
func (l *log) Requests() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept <= uint64(len(l.whole)) {
		return slices.Clone(l.whole)
	}
	at := l.kept % uint64(l.keep)
	return slices.Concat(l.whole[at:], l.whole[:at])
}

// LastRequest returns the newest of [Origin.Requests]; ok is false if there is none.
func (l *log) LastRequest() (r Request, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == 0 {
		return Request{}, false
	}
	return l.whole[(l.kept-1)%uint64(l.keep)], true
}

// AwaitTotal waits until as many requests have arrived since the start, or ctx ends.
func (l *log) AwaitTotal(ctx context.Context, total uint64) error {
	l.mu.Lock()
	if l.total >= total {
		l.mu.Unlock()
		return nil
	}
	reached := make(chan struct{})
	l.waiting[reached] = total
	l.mu.Unlock()
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, reached)
		return fmt.Errorf("%w: %d of %d requests have arrived", ctx.Err(), l.total, total)
	}
}
