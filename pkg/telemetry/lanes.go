package telemetry

import (
	"slices"
	"sync"
)

// lanes bounds how many proxies send load reports at a time: every message repeats the node, 61 kB. Who does not get a lane waits in line;
// its proof or watch goes on with metrics alone. Proofs come first: watches take no more than the first half of the lanes, and give theirs to
// proofs that wait.
type lanes struct {
	mu     sync.Mutex
	most   int
	active []lane // in the order in which they were taken
	line   map[use][]*proxy
}

type lane struct {
	proxy *proxy
	use   use
}

// use is what somebody wants a lane for. Higher ones come first.
type use int

const (
	idle use = iota
	watching
	proving
)

const defaultMaxFollowed = 64

func (l *lanes) init(most int) {
	if most <= 0 {
		most = defaultMaxFollowed
	}
	l.most, l.line = most, map[use][]*proxy{}
}

// want takes a lane for a proxy, or a place in line, or gives either back.
func (l *lanes) want(p *proxy, u use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch at := l.index(p); {
	case at < 0 && p.waits == u:
		return // as before
	case at < 0:
		l.wait(p, u, false)
	case l.active[at].use == u:
		return
	case u == idle || u == watching && len(l.active) > l.watchable():
		l.give(at)
		l.wait(p, u, false)
	default:
		l.active[at].use = u
	}
	l.fill()
}

// watchable is how many lanes watches may take.
func (l *lanes) watchable() int { return l.most - l.most/2 }

func (l *lanes) index(p *proxy) int {
	return slices.IndexFunc(l.active, func(a lane) bool { return a.proxy == p })
}

// wait puts a proxy into the line for a use, and out of any other.
func (l *lanes) wait(p *proxy, u use, front bool) {
	if line := l.line[p.waits]; p.waits != idle {
		at := slices.Index(line, p)
		l.line[p.waits] = slices.Delete(line, at, at+1)
	}
	switch p.waits = u; {
	case u == idle:
	case front:
		l.line[u] = slices.Insert(l.line[u], 0, p)
	default:
		l.line[u] = append(l.line[u], p)
	}
}

// give takes a lane back.
func (l *lanes) give(at int) {
	p := l.active[at].proxy
	l.active = slices.Delete(l.active, at, at+1)
	p.wake()
}

// fill gives lanes to those who wait.
func (l *lanes) fill() {
	for len(l.line[proving]) > 0 {
		if len(l.active) == l.most {
			at := l.lastWatching()
			if at < 0 {
				return
			}
			p := l.active[at].proxy
			l.give(at)
			l.wait(p, watching, true)
		}
		l.take(proving)
	}
	for len(l.line[watching]) > 0 && len(l.active) < l.watchable() {
		l.take(watching)
	}
}

// take gives a lane to the first in a line.
func (l *lanes) take(u use) {
	p := l.line[u][0]
	l.wait(p, idle, false)
	l.active = append(l.active, lane{p, u})
	p.wake()
}

// lastWatching is the lane that a watch took last; -1 if there is none.
func (l *lanes) lastWatching() int {
	for i := len(l.active) - 1; i >= 0; i-- {
		if l.active[i].use == watching {
			return i
		}
	}
	return -1
}

// has says whether a proxy has a lane.
func (l *lanes) has(p *proxy) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index(p) >= 0
}

// contended says whether a proof waits.
func (l *lanes) contended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.line[proving]) > 0
}
