package exact

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stream is a client that asks the same again and again. One that is late leaves out what it has missed.
type Stream struct {
	Protocol     Protocol
	Target, Host string
	Ask
	Every   time.Duration
	Timeout time.Duration // of one request
}

// String names it, for example "http1 upload of 16".
func (s Stream) String() string {
	what := "answer"
	switch {
	case s.Upload:
		what = "upload"
	case s.Ask.Stream:
		what = "stream"
	}
	return fmt.Sprintf("%s %s of %d", s.Protocol, what, s.Bytes)
}

// Sum is what became of requests.
type Sum struct {
	Done    uint64            // in whatever way
	Long    uint64            // of Done, uploads that are longer than what proxies copy
	Faults  map[Kind]uint64   // of Done
	Reasons map[string]uint64 // of faults, by stream and error; at most maxReasons
	Longest time.Duration     // of those that went well
	Slowest string            // the stream of it
}

// maxReasons bounds what is kept of errors.
const maxReasons = 50

// maxCopied is how many bytes of a body proxies copy. Of what is longer there is no copy.
const maxCopied = 256 << 10

// Copied is how many requests there should be copies of, where all are copied.
func (s Sum) Copied() int64 { return int64(s.Done - s.Long) }

// Bad is how many went wrong.
func (s Sum) Bad() (n uint64) {
	for _, of := range s.Faults {
		n += of
	}
	return n
}

// String says how many went wrong, and why.
func (s Sum) String() string {
	text := fmt.Sprintf("%d of %d went wrong", s.Bad(), s.Done)
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
		why = append(why, fmt.Sprintf("%d × %s", s.Reasons[reason], reason))
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, "; ") + ")"
	}
	return text + fmt.Sprintf("; the longest took %.0f ms (%s)", float64(s.Longest)/1e6, s.Slowest)
}

// Load is streams that are running.
type Load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	sum    Sum
}

// Start starts streams. The end of ctx stops them like [Load.Stop], which must be called in any case.
func Start(ctx context.Context, streams []Stream) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{cancel: cancel, sum: Sum{Faults: map[Kind]uint64{}, Reasons: map[string]uint64{}}}
	for _, s := range streams {
		l.done.Go(func() { l.run(ctx, s) })
	}
	return l
}

func (l *Load) run(ctx context.Context, s Stream) {
	client := New(s.Protocol, s.Target, s.Host)
	defer client.Close()
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		// What was begun is awaited: an end of the load is no failure.
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Timeout)
		began := time.Now()
		err := client.Ask(one, s.Ask)
		cancel()
		l.note(s, err, time.Since(began))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *Load) note(s Stream, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Done++
	if s.Upload && s.Bytes > maxCopied {
		l.sum.Long++
	}
	if err == nil {
		if took > l.sum.Longest {
			l.sum.Longest, l.sum.Slowest = took, s.String()
		}
		return
	}
	kind := Failed
	if f := (*Fault)(nil); errors.As(err, &f) {
		kind = f.Kind
	}
	l.sum.Faults[kind]++
	if reason := s.String() + " " + err.Error(); l.sum.Reasons[reason] > 0 || len(l.sum.Reasons) < maxReasons {
		l.sum.Reasons[reason]++
	}
}

// Sum is what became of the requests so far.
func (l *Load) Sum() Sum {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sum
	out.Faults, out.Reasons = maps.Clone(out.Faults), maps.Clone(out.Reasons)
	return out
}

// Stop ends the asking, waits for every answer and returns the sum. It may be called more than once.
func (l *Load) Stop() Sum {
	l.cancel()
	l.done.Wait()
	return l.Sum()
}

// Everything is streams of all sizes, 16 B to 20 MB, down and up, by all protocols, as often as fits on a small machine. hosts are those of the
// services by protocol; origin is who must answer.
func Everything(target string, hosts map[Protocol]string, origin string) (out []Stream) {
	add := func(p Protocol, a Ask, every time.Duration) {
		a.Origin = origin
		out = append(out, Stream{Protocol: p, Target: target, Host: hosts[p], Ask: a, Every: every, Timeout: 20 * time.Second})
	}
	for _, size := range []struct {
		bytes int
		every time.Duration
	}{{16, 20 * time.Millisecond}, {64 << 10, 60 * time.Millisecond}, {256 << 10, 150 * time.Millisecond}, {1 << 20, 500 * time.Millisecond}, {20 << 20, 5 * time.Second}} {
		for _, p := range []Protocol{HTTP1, HTTP2} {
			add(p, Ask{Bytes: size.bytes}, size.every)
			add(p, Ask{Bytes: size.bytes, Upload: true}, size.every)
		}
		add(GRPC, Ask{Bytes: size.bytes, Stream: size.bytes > MaxCall}, size.every)
	}
	return out
}
