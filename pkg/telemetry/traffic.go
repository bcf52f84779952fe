package telemetry

import (
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Traffic is what the requests of one service at one origin came to, over one fleet or several.
type Traffic struct {
	Counts
	Requests  uint64        // that were answered, by the origin or in its place
	RPS       float64       // Requests per second of Window
	ErrorRate float64       // share of Requests that failed here, whoever answered them in the end, 0 to 1; 0 without requests
	P50, P99  time.Duration // time until the answer was complete; within 5 % from 10 ms on; 0 without requests
	Window    time.Duration // what the figures cover: what was asked for, at most [MaxWindow], less if nothing is known of earlier
	Reporting int           // proxies whose part is in the figures
	Silent    int           // connected proxies that report nothing: their part is unknown
}

// Traffic adds up the last window before now for an origin of a service in one fleet.
func (t *Telemetry) Traffic(fleetName, service, origin string, now time.Time, window time.Duration) Traffic {
	return t.TrafficOver([]string{fleetName}, service, origin, now, window)
}

// TrafficOver is [Telemetry.Traffic] over several fleets: requests are summed, percentiles are those of all requests together, and
// Window is the longest.
func (t *Telemetry) TrafficOver(fleetNames []string, service, origin string, now time.Time, window time.Duration) Traffic {
	var out Traffic
	var latency distribution
	for _, name := range fleetNames {
		t.mu.Lock()
		f := t.fleets[name]
		t.mu.Unlock()
		if f != nil {
			out.add(f.traffic(policy.ClusterName(service, origin), now, window, &latency))
		}
	}
	if out.Requests > 0 {
		out.ErrorRate = float64(min(out.failed(), out.Requests)) / float64(out.Requests) // one counts twice where the second answer failed too
	}
	quantiles := latency.quantiles([]float64{0.50, 0.99})
	out.P50, out.P99 = quantiles[0], quantiles[1]
	return out
}

// add sums up what can be summed.
func (t *Traffic) add(o Traffic) {
	t.Counts.add(&o.Counts)
	t.Requests += o.Requests
	t.RPS += o.RPS
	t.Window = max(t.Window, o.Window)
	t.Reporting += o.Reporting
	t.Silent += o.Silent
}

// traffic is the part of one fleet, without shares and percentiles; latencies are added to those of the others.
func (f *fleet) traffic(cluster string, now time.Time, window time.Duration, latency *distribution) Traffic {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := Traffic{Window: min(window, MaxWindow, now.Sub(f.since))}
	out.Reporting, out.Silent = f.count(now)
	s := (*f.index.Load())[cluster]
	if s == nil || out.Window <= 0 {
		return out
	}
	out.Counts = s.window.Sum(now, window)
	if out.Requests = out.Answers(); out.Requests > 0 {
		out.RPS = float64(out.Requests) / out.Window.Seconds()
	}
	s.window.latencies(now, window, latency)
	return out
}

// reports says whether a proxy has reported lately. The fleet's lock is held.
func (p *proxy) reports(now time.Time) bool {
	return !p.reported.IsZero() && now.Sub(p.reported) <= quietAfter(p.period)
}

// Total is what one cluster of a fleet counted since the start.
type Total struct {
	Fleet, Service, Origin string
	Counts                 Counts
}

// Totals returns the counters of every cluster, by fleet, service and origin. One that had no data for long may go, and starts at 0 again.
func (t *Telemetry) Totals() []Total {
	var out []Total
	for _, f := range t.all() {
		f.mu.Lock()
		for _, s := range f.byID {
			if s == nil {
				continue
			}
			service, origin, _ := strings.Cut(s.name, "/")
			out = append(out, Total{f.name, service, origin, s.total})
		}
		f.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Total) int {
		return cmpStrings(a.Fleet, b.Fleet, a.Service, b.Service, a.Origin, b.Origin)
	})
	return out
}

// Classes returns how many answers an origin gave, by the first digit of their status, in all fleets together.
func (t *Telemetry) Classes(service, origin string) [6]uint64 {
	var out [6]uint64
	for _, f := range t.all() {
		f.mu.Lock()
		if s := (*f.index.Load())[service+"/"+origin]; s != nil {
			for class, n := range s.total.Class {
				out[class] += n
			}
		}
		f.mu.Unlock()
	}
	return out
}

// cmpStrings compares pairs, the first that differ deciding.
func cmpStrings(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		if c := strings.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}

// Proxy is what is known of a proxy beside its configuration.
type Proxy struct {
	Fleet, Proxy string
	Version      string    // of Envoy, as its load report stream says; empty: unknown
	Reported     time.Time // when its last metrics came; zero: never
	Reporting    bool      // it reports as often as it should
	Override     bool      // a value was set at its admin interface, which beats the control plane
}

// Proxies describes every known proxy of a fleet, by id.
func (t *Telemetry) Proxies(fleetName string, now time.Time) []Proxy {
	t.mu.Lock()
	f := t.fleets[fleetName]
	t.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Proxy, 0, len(f.proxies))
	for _, p := range f.proxies {
		out = append(out, Proxy{Fleet: f.name, Proxy: p.id, Version: p.version.String(), Reported: p.reported, Reporting: p.reports(now), Override: p.overrides})
	}
	slices.SortFunc(out, func(a, b Proxy) int { return strings.Compare(a.Proxy, b.Proxy) })
	return out
}

// Override says whether a proxy has a value set at its admin interface.
func (t *Telemetry) Override(fleetName, proxy string) bool {
	t.mu.Lock()
	f := t.fleets[fleetName]
	t.mu.Unlock()
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.proxies[proxy]
	return p != nil && p.overrides
}
