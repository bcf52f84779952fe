package telemetry

import (
	"slices"
	"sync"
)

// lanes bounds how many proxies send load reports at a time: every message repeats the node, 61 kB. Who does not get a lane waits in line;
// its proof goes on with metrics alone.
type lanes struct {
	mu     sync.Mutex
	most   int
	active map[*proxy]bool
	line   []*proxy
}

const defaultMaxFollowed = 64

func (l *lanes) init(most int) {
	if most <= 0 {
		most = defaultMaxFollowed
	}
	l.most, l.active = most, map[*proxy]bool{}
}

// want takes a lane for a proxy, or a place in line, or gives either back.
func (l *lanes) want(p *proxy, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.line, p)
	switch {
	case yes && !l.active[p] && at < 0:
		l.line = append(l.line, p)
	case !yes && l.active[p]:
		delete(l.active, p)
		p.wake()
	case !yes && at >= 0:
		l.line = slices.Delete(l.line, at, at+1)
	}
	for len(l.active) < l.most && len(l.line) > 0 {
		next := l.line[0]
		l.line = l.line[1:]
		l.active[next] = true
		next.wake()
	}
}

// has says whether a proxy has a lane.
func (l *lanes) has(p *proxy) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[p]
}

// contended says whether somebody waits.
func (l *lanes) contended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.line) > 0
}
