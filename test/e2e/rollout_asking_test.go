package e2e

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// asking is requests for an app through all proxies, until it is stopped, and what became of them.
type asking struct {
	a    *app
	runs []*loadgen.Run
	once sync.Once

	mu     sync.Mutex
	done   uint64
	lost   uint64            // no origin has answered
	why    map[string]uint64 // of these
	errors map[string]uint64 // that an origin answered, by origin
	first  time.Duration     // when the first of these was there; 0: none
	last   time.Duration     // when the last one was lost
}

func (a *app) ask(rate float64) *asking {
	return a.asking(rate, loadgen.Config{Connections: 32})
}

// asking asks through some of the proxies, all if none is named.
func (a *app) asking(rate float64, c loadgen.Config, through ...*stack.Proxy) *asking {
	a.t.Helper()
	if len(through) == 0 {
		through = a.Proxies
	}
	q := &asking{a: a, why: map[string]uint64{}, errors: map[string]uint64{}}
	c.Rate, c.Duration, c.OnResult, c.Request.Host = rate/float64(len(through)), 10*time.Minute, q.result, a.name+".test"
	for _, p := range through {
		c.Target = net.JoinHostPort(p.Host, strconv.Itoa(a.port))
		r, err := loadgen.Start(a.t.Context(), c)
		if err != nil {
			a.t.Fatal(err)
		}
		q.runs = append(q.runs, r)
	}
	a.t.Cleanup(q.stop)
	return q
}

func (q *asking) result(r loadgen.Result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done++
	switch {
	case r.OriginError() || r.GRPCStatus != "" && r.Origin != "":
		q.errors[r.Origin]++
		if q.first == 0 || r.Done < q.first {
			q.first = r.Done
		}
	case r.Failed() || r.GRPCStatus != "":
		q.lost++
		q.last = max(q.last, r.Done)
		if r.Err != nil {
			q.why[r.Err.Error()]++
		} else {
			q.why["status "+strconv.Itoa(r.Status)+" "+r.GRPCStatus]++
		}
	}
}

func (q *asking) stop() {
	q.once.Do(func() {
		for _, r := range q.runs {
			r.Stop()
		}
		for _, r := range q.runs {
			r.Wait()
		}
	})
}

// noneAtECS stops, and fails the test if ecs has answered with an error, or a request was lost.
func (q *asking) noneAtECS() {
	q.a.t.Helper()
	q.a.await("enough requests to see something", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.done >= 50
	})
	q.stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost > 0 || q.errors["ecs"] > 0 {
		q.a.t.Errorf("of %d requests %d were lost: %v; errors %v", q.done, q.lost, q.why, q.errors)
	}
}

// none is the same for errors of eks.
func (q *asking) none() {
	q.a.t.Helper()
	q.noneAtECS()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.errors["eks"] > 0 {
		q.a.t.Errorf("of %d requests, %d were errors of eks", q.done, q.errors["eks"])
	}
}

func (q *asking) firstError() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first
}
