package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	// rate is how many requests per second the client sends, over all proxies.
	rate = 400
	// host is what the client asks for.
	host = "orders.test"
	// patience is how long the client waits for an answer: long, so that a machine that stalls is not taken for a proxy that fails.
	patience = 20 * time.Second
	// remembered is how many requests the ledger and the logs of the origins hold: more than a story has.
	remembered = 1 << 16
)

// traffic is the client: a steady rate over all proxies, and a ledger of what became of each request.
type traffic struct {
	runs []*loadgen.Run
	mu   sync.Mutex
	seen [][]loadgen.Result // by proxy and index; Done is 0 while a request is under way
}

// request is the i-th to a proxy. Its path is its name: no other has it, so it can be found in the logs of the origins.
func request(proxy int, i uint64, header ...[2]string) loadgen.Request {
	return loadgen.Request{Host: host, Path: name(proxy, i), Header: header}
}

func name(proxy int, i uint64) string { return fmt.Sprintf("/%d/%d", proxy+1, i) }

// startTraffic begins to send to every address.
func startTraffic(ctx context.Context, targets []string) (*traffic, error) {
	t := &traffic{seen: make([][]loadgen.Result, len(targets))}
	for n, target := range targets {
		run, err := loadgen.Start(ctx, loadgen.Config{
			Target: target, Rate: float64(rate) / float64(len(targets)), Duration: loadgen.MaxDuration, Timeout: patience,
			Make:     func(i uint64) loadgen.Request { return request(n, i) },
			OnResult: func(r loadgen.Result) { t.note(n, r) },
		})
		if err != nil {
			t.stop()
			return nil, err
		}
		t.runs = append(t.runs, run)
	}
	return t, nil
}

func (t *traffic) note(proxy int, r loadgen.Result) {
	if r.Index >= remembered {
		return // only with -keep: the story is told
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for uint64(len(t.seen[proxy])) <= r.Index {
		t.seen[proxy] = append(t.seen[proxy], loadgen.Result{})
	}
	t.seen[proxy][r.Index] = r
}

// stop stops the sending and waits for what is under way.
func (t *traffic) stop() {
	for _, r := range t.runs {
		r.Stop()
	}
	for _, r := range t.runs {
		r.Wait()
	}
}

// totals adds up the reports so far.
func (t *traffic) totals() (requests, failed, originErrors uint64, failures map[string]uint64) {
	failures = map[string]uint64{}
	for _, run := range t.runs {
		p := run.Report()
		requests, failed, originErrors = requests+p.Done, failed+p.Failed, originErrors+p.OriginErrors
		for why, n := range p.Failures {
			failures[why] += n
		}
	}
	return requests, failed, originErrors, failures
}

// mark is a moment: how many requests had come due, by proxy.
type mark []uint64

func (t *traffic) mark() mark {
	m := make(mark, len(t.runs))
	for n, run := range t.runs {
		m[n] = run.Report().Scheduled
	}
	return m
}

// sent is a request of the client with its name.
type sent struct {
	name string
	loadgen.Result
}

// between returns the requests that came due between two moments, once all of them have ended.
func (t *traffic) between(ctx context.Context, from, to mark) ([]sent, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+10*time.Second)
	defer cancel()
	var out []sent
	err := poll.Until(ctx, 5*time.Millisecond, func(context.Context) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		out = out[:0]
		for n := range t.seen {
			for i := from[n]; i < to[n]; i++ {
				if i >= uint64(len(t.seen[n])) || t.seen[n][i].Done == 0 {
					return fmt.Errorf("request %s is still under way", name(n, i))
				}
				out = append(out, sent{name(n, i), t.seen[n][i]})
			}
		}
		return nil
	})
	return out, err
}
