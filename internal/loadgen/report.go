package loadgen

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// Result is what became of one request. Times are of package monotime.
type Result struct {
	Index      uint64        // counts from 0, by the schedule
	Due        time.Duration // when it was to be sent
	Sent       time.Duration // when it was sent, connection included
	Done       time.Duration // when its answer had ended, or it had failed
	Status     int           // 0 if there was no whole answer
	GRPCStatus string        // a grpc-status other than 0
	Origin     string        // x-origin of the answer; empty if a proxy answered by itself
	Err        error         // why there was no whole answer
}

// Latency is from when the request was due to its end.
func (r Result) Latency() time.Duration { return r.Done - r.Due }

// Failed is true for what a user would call a failure of the proxy: no answer, or an error (a status from 400 on) that no origin gave.
func (r Result) Failed() bool {
	return r.Err != nil || r.Origin == "" && (r.Status >= 400 || r.GRPCStatus != "")
}

// OriginError is true for an error (a status from 500 on) that the origin itself answered.
func (r Result) OriginError() bool {
	return r.Err == nil && r.Origin != "" && (r.Status >= 500 || r.GRPCStatus != "")
}

// Report is the sum of the results, at one moment.
type Report struct {
	Scheduled    uint64            // came due
	Done         uint64            // ended, in whatever way
	Failed       uint64            // see [Result.Failed]
	OriginErrors uint64            // see [Result.OriginError]
	ByStatus     map[int]uint64    // whole answers, by status
	ByOrigin     map[string]uint64 // whole answers, by origin; "" is the proxy itself
	Failures     map[string]uint64 // failed requests, by reason
	OfferedRPS   float64           // the rate that was asked for
	AchievedRPS  float64           // requests sent per second, from the start until the last was sent or given up unsent
	Elapsed      time.Duration     // from the start to this moment, or to the end of the last request

	// Latency is that of all requests, failed ones included, in nanoseconds; ByOriginLatency of whole answers; Lateness from due to sent:
	// what of the latency may be the generator's own.
	Latency, Lateness *hdrhistogram.Histogram
	ByOriginLatency   map[string]*hdrhistogram.Histogram
}

// Quantile returns the latency that a share of the requests did not exceed, for example 0.99.
func (r *Report) Quantile(share float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(share * 100))
}

// recorder adds results up.
type recorder struct {
	mu       sync.Mutex
	report   Report
	start    time.Duration
	unsent   uint64        // ended without having been sent
	lastSent time.Duration // or given up unsent
	ended    time.Duration // 0 while running
	onResult func(Result)
}

func newRecorder(c Config) recorder {
	return recorder{
		start: monotime.Now(), onResult: c.OnResult,
		report: Report{
			OfferedRPS: c.Rate, ByStatus: map[int]uint64{}, ByOrigin: map[string]uint64{}, Failures: map[string]uint64{},
			Latency: newHistogram(), Lateness: newHistogram(), ByOriginLatency: map[string]*hdrhistogram.Histogram{},
		},
	}
}

// newHistogram is of nanoseconds, from 1 µs to 10 minutes, within 0.1 %.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(10*time.Minute), 3)
}

func (r *recorder) scheduled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Scheduled++
}

func (r *recorder) record(res Result) {
	r.add(res)
	if r.onResult != nil {
		r.onResult(res)
	}
}

func (r *recorder) add(res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.report
	p.Done++
	r.lastSent = max(r.lastSent, res.Sent)
	observe(p.Latency, res.Latency())
	observe(p.Lateness, res.Sent-res.Due)
	if res.Err == nil {
		p.ByStatus[res.Status]++
		p.ByOrigin[res.Origin]++
		if p.ByOriginLatency[res.Origin] == nil {
			p.ByOriginLatency[res.Origin] = newHistogram()
		}
		observe(p.ByOriginLatency[res.Origin], res.Latency())
	}
	if errors.Is(res.Err, errQueueFull) || errors.Is(res.Err, errNoConnection) {
		r.unsent++
	}
	if res.OriginError() {
		p.OriginErrors++
	}
	if res.Failed() {
		p.Failed++
		p.Failures[res.reason()]++
	}
}

// observe records d, or the end of the range if it is outside.
func observe(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), h.LowestTrackableValue()), h.HighestTrackableValue())) // within its range it does not fail
}

func (r *recorder) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = monotime.Now()
}

// Report returns the sum so far; it is a copy.
func (r *recorder) Report() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.report
	p.ByStatus, p.ByOrigin, p.Failures = maps.Clone(p.ByStatus), maps.Clone(p.ByOrigin), maps.Clone(p.Failures)
	p.Latency, p.Lateness = copyOf(p.Latency), copyOf(p.Lateness)
	p.ByOriginLatency = maps.Clone(p.ByOriginLatency)
	for origin, h := range p.ByOriginLatency {
		p.ByOriginLatency[origin] = copyOf(h)
	}
	p.Elapsed = monotime.Now() - r.start
	if r.ended != 0 {
		p.Elapsed = r.ended - r.start
	}
	if sending := r.lastSent - r.start; sending > 0 {
		p.AchievedRPS = float64(p.Done-r.unsent) / sending.Seconds()
	}
	return &p
}

func copyOf(h *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	c := newHistogram()
	c.Merge(h)
	return c
}

// streamID is what two errors of one kind differ in.
var streamID = regexp.MustCompile(`stream ID \d+; `)

// reasonOf sorts an error into one of a few kinds.
func reasonOf(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, errNoConnection), errors.Is(err, errQueueFull):
		return err.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the end of the answer"
	case strings.HasPrefix(err.Error(), "stream error"), strings.HasPrefix(err.Error(), "http2:"):
		return "HTTP/2: " + streamID.ReplaceAllString(strings.TrimPrefix(err.Error(), "http2: "), "")
	}
	return err.Error()
}
