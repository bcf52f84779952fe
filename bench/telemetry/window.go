package main

import (
	"context"
	"fmt"
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
	fleets   float64 // the same of the simulator
	sent     statsim.Counts
	delays   []float64 // seconds
	loads    []float64 // bytes of each proxy that sent load reports, its flushes included
	rollouts int
	rate     float64 // requests per second of each service at each proxy
	both     bool    // both origins of all services are busy
	pass     int     // rollouts whose guards all pass, at the end
	over     string  // why it is not of so many rollouts; empty: it is
}

// moment is where a window begins or ends.
type moment struct {
	at            time.Time
	server, fleet float64 // seconds of CPU
	read          statsim.Reading
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
		memory: usage.Memory(s.Server.PID, "VmRSS"), fleets: usage.Memory(s.fleet.PID(), "VmRSS"),
		sent: to.read.Counts.Since(from.read.Counts), delays: to.read.Delays, loads: to.read.Both,
		rollouts: len(s.traffic.Half), rate: s.traffic.Rate, both: s.traffic.Both,
	}
	if w.pass, err = s.stillBaking(ctx); err != nil { // guards do so where the machine is too small: the window is lost, and not those before it
		w.over = err.Error()
	}
	fmt.Println("  " + w.String())
	return w, ctx.Err()
}

// offered and achieved are flushes per second.
func (w *window) offered() float64  { return float64(w.proxies) / w.interval.Seconds() }
func (w *window) achieved() float64 { return float64(w.sent.Flushes) / w.seconds }

// onWire is what a byte of payload is on the wire at an MTU of 1,500: 1,448 come with 20 of IP, 32 of TCP with timestamps and 14 of Ethernet. What gRPC and
// HTTP/2 put around messages is less than a thousandth of these; acknowledgements go the other way.
const onWire = 1 + 66.0/1448

// bytes per second of all proxies together, of messages.
func (w *window) bytes() float64 { return float64(w.sent.FlushBytes+w.sent.ReportBytes) / w.seconds }

// perProxy is kB/s of messages, in the mean of the fleet.
func (w *window) perProxy() float64 { return w.bytes() / 1e3 / float64(w.proxies) }

// reporting is kB/s on the wire of each proxy that sent load reports.
func (w *window) reporting() (out []float64) {
	for _, bytes := range w.loads {
		out = append(out, onWire*bytes/1e3/w.seconds)
	}
	return out
}

// failed are flushes that were not taken.
func (w *window) failed() int { return int(w.sent.TimedOut + w.sent.Refused) }

// spoilt says why a window says nothing; empty: nearly all flushes came, none failed, 99 of 100 were there before the next was due, and the rollouts went on.
func (w *window) spoilt() string {
	const enough = 0.98
	switch {
	case w.failed() > 0:
		return fmt.Sprintf("%d flushes were not taken: %s", w.failed(), w.sent.LastError)
	case w.achieved() < enough*w.offered():
		return fmt.Sprintf("%.1f of %.1f flushes/s came", w.achieved(), w.offered())
	case w.delay() >= w.interval.Seconds():
		return fmt.Sprintf("flushes were known %.1f s late (p99), and the next are due after %v", w.delay(), w.interval)
	}
	return w.over
}

// delay is the 99th percentile of the time from when a flush is due until the server has it, in seconds.
func (w *window) delay() float64 { return report.ByP99.Of(w.delays) }

func (w *window) String() string {
	flushes := float64(max(1, w.sent.Flushes))
	text := fmt.Sprintf("%d proxies, %v, %d rollouts, %g requests/s each: control plane %.3f cores, %.0f MB; simulator %.3f cores",
		w.proxies, w.interval, w.rollouts, w.rate, w.server, w.memory/1e6, w.fleet)
	text += fmt.Sprintf("; %.1f MB/s of messages, %.1f kB/s per proxy, load reports %.1f MB/s of %d proxies; %.0f kB per flush of %.0f busy clusters",
		w.bytes()/1e6, w.perProxy(), float64(w.sent.ReportBytes)/w.seconds/1e6, w.sent.Lanes,
		float64(w.sent.FlushBytes)/1e3/flushes, float64(w.sent.Busy)/flushes)
	text += fmt.Sprintf("; %.1f of %.1f flushes/s, p50 %.0f ms, p99 %.0f ms, %d not taken; %d rollouts pass; load average %s",
		w.achieved(), w.offered(), report.ByP50.Of(w.delays)*1e3, w.delay()*1e3, w.failed(), w.pass, usage.LoadAverage())
	if w.sent.Broken > 0 {
		text += "; the last error: " + w.sent.LastError
	}
	if why := w.spoilt(); why != "" {
		text += "; IT SAYS NOTHING: " + why
	}
	return text
}
