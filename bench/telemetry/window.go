package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/statsim"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// window is what was measured of a while in which nothing changed.
type window struct {
	proxies  int
	interval time.Duration
	seconds  float64
	server   float64 // cores
	fleet    float64 // cores
	memory   float64 // of the control plane, bytes resident at the end
	sent     statsim.Counts
	delays   []float64 // seconds
	rollouts int
	rate     float64 // requests per second of each service at each proxy
	both     bool    // both origins of all services are busy
	pass     int     // rollouts whose guards all pass, at the end
}

// moment is where a window begins or ends.
type moment struct {
	at            time.Time
	server, fleet float64 // seconds of CPU
	read          Reading
}

func (s *site) moment(ctx context.Context) (m moment, err error) {
	err = s.fleet.Call(ctx, "Read", struct{}{}, &m.read)
	m.at, m.server, m.fleet = time.Now(), usage.CPU(s.Server.PID), usage.CPU(s.fleet.PID())
	return m, err
}

// measure measures for so many flush intervals. Each proxy flushes in each of them once, so that parts of them would be of other proxies.
func (s *site) measure(ctx context.Context, intervals int) (*window, error) {
	from, err := s.moment(ctx)
	if err != nil {
		return nil, err
	}
	profiled := s.profile(ctx, time.Duration(intervals)*s.interval)
	if err := poll.Pause(ctx, time.Duration(intervals)*s.interval); err != nil {
		return nil, err
	}
	to, err := s.moment(ctx)
	if err != nil {
		return nil, err
	}
	if err := <-profiled; err != nil {
		return nil, err
	}
	seconds := to.at.Sub(from.at).Seconds()
	w := &window{
		proxies: s.proxies, interval: s.interval, seconds: seconds, server: (to.server - from.server) / seconds, fleet: (to.fleet - from.fleet) / seconds,
		memory: usage.Memory(s.Server.PID, "VmRSS"), sent: to.read.Counts.Since(from.read.Counts), delays: to.read.Delays, rollouts: len(s.traffic.Half),
		rate: s.traffic.Rate, both: s.traffic.Both,
	}
	w.pass, err = s.stillBaking(ctx)
	fmt.Println("  " + w.String())
	return w, err
}

// offered and achieved are flushes per second.
func (w *window) offered() float64  { return float64(w.proxies) / w.interval.Seconds() }
func (w *window) achieved() float64 { return float64(w.sent.Flushes) / w.seconds }

// bytes per second of all proxies together.
func (w *window) bytes() float64 { return float64(w.sent.FlushBytes+w.sent.ReportBytes) / w.seconds }

// failed are flushes that were not taken.
func (w *window) failed() int { return int(w.sent.TimedOut + w.sent.Refused) }

// kept says whether the interval was: nearly all flushes came, none failed, and 99 of 100 were there before the next was due.
func (w *window) kept() bool {
	const enough = 0.98
	return w.achieved() >= enough*w.offered() && w.failed() == 0 && w.delay() < w.interval.Seconds()
}

// delay is the 99th percentile of the time from when a flush is due until the server has it, in seconds.
func (w *window) delay() float64 { return report.ByP99.Of(w.delays) }

func (w *window) String() string {
	flushes := float64(max(1, w.sent.Flushes))
	text := fmt.Sprintf("%d proxies, %v, %d rollouts, %g requests/s each: control plane %.3f cores, %.0f MB; simulator %.3f cores",
		w.proxies, w.interval, w.rollouts, w.rate, w.server, w.memory/1e6, w.fleet)
	text += fmt.Sprintf("; %.1f MB/s, %.1f kB/s per proxy, load reports %.1f MB/s of %d proxies; %.0f kB per flush of %.0f busy clusters",
		w.bytes()/1e6, w.bytes()/1e3/float64(w.proxies), float64(w.sent.ReportBytes)/w.seconds/1e6, w.sent.Lanes,
		float64(w.sent.FlushBytes)/1e3/flushes, float64(w.sent.Busy)/flushes)
	text += fmt.Sprintf("; %.1f of %.1f flushes/s, p50 %.0f ms, p99 %.0f ms, %d not taken; %d rollouts pass; load average %s",
		w.achieved(), w.offered(), report.ByP50.Of(w.delays)*1e3, w.delay()*1e3, w.failed(), w.pass, loadAverage())
	if w.failed()+int(w.sent.Broken) > 0 {
		text += "; the last error: " + w.sent.LastError
	}
	if !w.kept() {
		text += "; THE INTERVAL WAS NOT KEPT"
	}
	return text
}

// loadAverage is that of the last minute, others' work included.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(b[:min(len(b), len("0.00"))])
}
