package comparator

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// transport asks proxies. Ordinary requests go over HTTP/1.1: a pair takes less time than over HTTP/2 (BenchmarkPair tells how much),
// and connections spread over the threads of a proxy. gRPC needs trailers and goes over HTTP/2.
type transport struct {
	http1    *http.Transport
	secure   Secure // nil: clear text
	perProxy int
	log      *slog.Logger
	said     rate.Sometimes // that a place is not what it should be

	mu        sync.Mutex
	busy      map[place]*[2]int // requests to control and to the candidate
	http2     map[place][]*calls
	strangers map[place]time.Time // since when
}

func newTransport(l Limits, log *slog.Logger, secure Secure) *transport {
	t := &transport{
		http1: plainTransport(false, 2*l.PerProxy), secure: secure, perProxy: l.PerProxy, log: log, said: rate.Sometimes{First: 1, Interval: time.Minute},
		busy: map[place]*[2]int{}, http2: map[place][]*calls{}, strangers: map[place]time.Time{},
	}
	t.http1.DialContext = t.dial
	return t
}

func plainTransport(http2 bool, idle int) *http.Transport {
	var p http.Protocols
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	return &http.Transport{
		Protocols: &p, DisableCompression: true, MaxIdleConns: maxIdle, MaxIdleConnsPerHost: idle, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes, WriteBufferSize: 4 << 10, ReadBufferSize: 8 << 10,
	}
}

func (t *transport) close() {
	t.http1.CloseIdleConnections()
	t.closeCalls()
}

// enter takes places for requests through a proxy, or says that there are none.
func (t *transport) enter(at place, controls, candidates int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.busy[at]
	if b == nil {
		b = &[2]int{}
		t.busy[at] = b
	}
	if b[control]+controls > t.perProxy || b[candidate]+candidates > t.perProxy {
		return false
	}
	b[control] += controls
	b[candidate] += candidates
	return true
}

func (t *transport) leave(at place, controls, candidates int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.busy[at]
	b[control] -= controls
	b[candidate] -= candidates
	if *b == ([2]int{}) {
		delete(t.busy, at)
	}
}

// send asks over a connection that has proven itself. Done is to be called once the answer was read.
func (t *transport) send(c *copied, r *http.Request) (answer *http.Response, done func(), err error) {
	done = func() {}
	if !c.grpc {
		answer, err = t.http1.RoundTrip(r)
		return answer, done, err
	}
	calls, err := t.callsTo(c.at)
	if err != nil {
		return nil, done, err
	}
	answer, err = calls.over.RoundTrip(r)
	return answer, func() { t.done(calls) }, err
}
