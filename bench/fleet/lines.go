package main

import (
	"cmp"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// The aims that are no ratio to a peer.
const (
	mostStorm      = 3.0 // s: reconnect storm of the part main
	mostStormPeak  = 2.0 // times the memory after the flips
	mostFlip       = 1.0 // s: p99 of a flip with mostProxies
	mostGrowth     = 1.2 // times what a flip costs with the fewest services, with ten or a hundred times as many
	mostToRefusing = 2.0 // responses per flip to who refuses: the flip, and the change that it refuses
)

// peers are what the peer changes in a flip and how gRPC is set, by system. The first is the one that aims are held against: what a user
// of go-control-plane has who sets nothing. The others are context.
var peers = []struct{ system, name, changes, grpc string }{
	{linear, linear, "the same runtime layer", "stock"},
	{linearTuned, linear, "the same runtime layer", "as ours (context)"},
	{linearRoutes, linear, "the virtual host", "stock (context)"},
}

// allPeers are those of the part main, and the one that is only in parts with many sizes: a flip takes it so long that all others would wait for it.
func allPeers() (names []string) {
	for _, p := range peers {
		names = append(names, p.system)
	}
	return append(names, snapshot)
}

// with is a case and more.
func (s subject) with(more map[string]any) map[string]any {
	c := map[string]any{"proxies": s.Clients + s.Envoys, "services": s.Workload.Services, "flipping": s.Workload.Flipping}
	for k, v := range more {
		c[k] = v
	}
	return c
}

// compare adds a ratio to a line, and to its note who gave up. A quick run has no ratios: its one round gives no interval.
func (p *parts) compare(runs results, l *report.Line, by report.Statistic, own, other side, peer string) {
	if p.Size == report.Quick {
		return
	}
	l.Compare(peer, by, runs.series(own.subject, own.metric), runs.series(other.subject, other.metric))
	if l.Invalid == "" {
		l.Note = cmp.Or(runs.gaveUp(own.subject), runs.gaveUp(other.subject), l.Note)
	}
}

// side is one of the two that a ratio compares.
type side struct {
	subject subject
	metric  metric
}

// mainLines reports the part main: a case for each peer.
func (p *parts) mainLines(runs results) {
	own := p.one
	own.system = crossfade
	for i, peer := range peers {
		other := p.one
		other.system = peer.system
		if runs[other] == nil {
			continue
		}
		c := own.with(map[string]any{"peerChanges": peer.changes, "peerGrpc": peer.grpc})
		for _, m := range metrics {
			if m.oursOnly && i > 0 {
				continue
			}
			l := runs.line(own, crossfade, m, c)
			if !m.oursOnly {
				p.compare(runs, l, m.by, side{own, m}, side{other, m}, peer.name)
			}
			if m.limit > 0 && i == 0 {
				l.AimRatio(m.limit)
			}
			p.report.Add(l)
			if !m.oursOnly {
				p.report.Add(runs.line(other, peer.name, m, c))
			}
		}
	}
	p.stormAims(runs, own)
}

// stormAims are held for a reconnect storm: it is short, brings everybody what they missed and nothing besides, and needs no more than
// twice the memory. That everybody has what they missed is no aim: without it the run fails.
func (p *parts) stormAims(runs results, own subject) {
	c := own.with(nil)
	p.report.Add(runs.line(own, crossfade, metricOf("reconnect_storm"), c).AimP99(mostStorm))
	p.report.Add(runs.line(own, crossfade, metricOf("reconnect_storm_resources"), c).AimP99(float64(own.Clients)))
	peak, memory := metricOf("reconnect_storm_memory_peak"), metricOf("memory")
	l := runs.line(own, crossfade, peak, c)
	p.compare(runs, l, report.ByMean, side{own, peak}, side{own, memory}, "crossfade, memory after the flips")
	p.report.Add(l.AimRatio(mostStormPeak))
}

// proxiesLines reports fleets of many sizes, all systems beside each other.
func (p *parts) proxiesLines(sizes []subject, runs results) {
	for _, size := range sizes {
		own, other := size, size
		own.system, other.system = crossfade, linear
		p.sweepLines(runs, size, map[string]any{"part": "proxies"}, func(l *report.Line, m metric) {
			if runs[other] != nil && l.System == crossfade && !m.oursOnly {
				p.compare(runs, l, m.by, side{own, m}, side{other, m}, linear)
			}
		})
		if size.Clients == mostProxies { // a line of its own: what it is held against is no peer
			p.report.Add(runs.line(own, crossfade, metricOf("flip_acked"), own.with(map[string]any{"part": "proxies", "aim": "p99"})).AimP99(mostFlip))
		}
	}
	p.costs(sizes, runs, "proxy", func(s subject) float64 { return float64(s.Clients) })
}

// servicesLines reports few and many services: each system beside itself with the fewest.
func (p *parts) servicesLines(sizes []subject, runs results) {
	for i, size := range sizes {
		p.sweepLines(runs, size, map[string]any{"part": "services"}, func(l *report.Line, m metric) {
			if i == 0 {
				return
			}
			own, fewest := size, sizes[0]
			own.system, fewest.system = l.System, l.System
			p.compare(runs, l, m.by, side{own, m}, side{fewest, m}, fmt.Sprintf("%s, %d services", l.System, fewest.Workload.Services))
			if l.System == crossfade && (m.name == "flip_cpu" || m.name == "flip_bytes") {
				l.AimRatio(mostGrowth)
			}
		})
		p.besidePeer(runs, size)
	}
	p.costs(sizes, runs, "service", func(s subject) float64 { return float64(s.Workload.Services) })
}

// besidePeer holds ours against the first peer with as many services, in lines of their own: in the others each is held against itself.
func (p *parts) besidePeer(runs results, size subject) {
	own, other := size, size
	own.system, other.system = crossfade, linear
	if runs[other] == nil {
		return
	}
	for _, name := range []string{"flip_acked", "flip_cpu", "memory", "cold_start", "cold_start_cpu"} {
		m := metricOf(name)
		l := runs.line(own, crossfade, m, own.with(map[string]any{"part": "services, beside " + linear}))
		p.compare(runs, l, m.by, side{own, m}, side{other, m}, linear)
		p.report.Add(l)
	}
}

// sweepLines reports one size; more completes each line.
func (p *parts) sweepLines(runs results, size subject, c map[string]any, more func(*report.Line, metric)) {
	for _, m := range metrics {
		for _, system := range p.swept() {
			if !m.swept || m.oursOnly && system != crossfade {
				continue
			}
			s := size
			s.system = system
			l := runs.line(s, system, m, s.with(c))
			more(l, m)
			p.report.Add(l)
		}
	}
}
