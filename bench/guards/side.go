package main

import (
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// side is an origin for many services: so many endpoints, one way to treat requests, and a log of each service. What befalls a request is
// drawn, which package origin does not do: there failures come evenly.
type side struct {
	name      string
	endpoints []string
	pods      map[string]int // index of each endpoint
	server    *http.Server
	serving   sync.WaitGroup
	manner    atomic.Pointer[manner]
	tallies   map[string]*tally // by host; fixed

	mu  sync.Mutex
	rnd *rand.Rand
}

// tally is the log of a service at a side. Times are of package monotime.
type tally struct {
	count, wrong atomic.Uint64
	last         atomic.Int64 // arrival of the last request
	first        atomic.Int64 // arrival of the first request since mark that something wrong befell; 0: none
	stepped      atomic.Int64 // when the candidate got more traffic, for slow starts
}

// fate is what befalls a request.
type fate struct {
	failed bool          // it is answered 500
	wrong  bool          // this is what is to be found
	delay  time.Duration // before the answer
}

// arrival is a request, with what is drawn for it.
type arrival struct {
	at      time.Duration
	pod     int // index of the endpoint
	tally   *tally
	uniform float64 // 0 to 1
	normal  float64
}

type manner func(arrival) fate

// newSide starts a sound origin with so many endpoints, for services with these hosts.
func newSide(name string, endpoints int, seed uint64, hosts ...string) (*side, error) {
	s := &side{name: name, pods: map[string]int{}, tallies: map[string]*tally{}, rnd: rand.New(rand.NewPCG(seed, 0))}
	for _, h := range hosts {
		s.tallies[h] = &tally{}
	}
	s.behave(sound)
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	host := loopback.Host()
	for pod := range endpoints {
		l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
		if err != nil {
			s.close()
			return nil, err
		}
		address := l.Addr().String()
		s.endpoints, s.pods[address] = append(s.endpoints, address), pod
		s.serving.Go(func() { _ = s.server.Serve(l) })
	}
	return s, nil
}

func (s *side) behave(m manner) { s.manner.Store(&m) }

// ServeHTTP treats a request as it is the manner of the moment.
func (s *side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrival{at: monotime.Now(), tally: s.tallies[r.Host]}
	if a.tally == nil {
		http.Error(w, "no such service", http.StatusNotFound)
		return
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && len(s.endpoints) > 1 {
		a.pod = s.pods[local.String()]
	}
	s.mu.Lock()
	a.uniform, a.normal = s.rnd.Float64(), s.rnd.NormFloat64()
	s.mu.Unlock()
	f := (*s.manner.Load())(a)
	a.tally.note(a.at, f.wrong)
	if f.delay > 0 && poll.Pause(r.Context(), f.delay) != nil {
		return
	}
	w.Header().Set("X-Origin", s.name)
	if f.failed {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (t *tally) note(at time.Duration, wrong bool) {
	t.count.Add(1)
	for old := t.last.Load(); old < int64(at) && !t.last.CompareAndSwap(old, int64(at)); old = t.last.Load() {
	}
	if wrong {
		t.wrong.Add(1)
		t.first.CompareAndSwap(0, int64(at))
	}
}

// mark begins to look for what is wrong.
func (t *tally) mark() {
	t.wrong.Store(0)
	t.first.Store(0)
}

// left is the time in seconds from the first wrong answer to the last request; it is not ok if nothing was wrong.
func (t *tally) left() (seconds float64, ok bool) {
	first := t.first.Load()
	return time.Duration(t.last.Load() - first).Seconds(), first != 0
}

func (s *side) close() {
	if s == nil {
		return
	}
	_ = s.server.Close()
	s.serving.Wait()
}
