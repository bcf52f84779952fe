package main

import (
	"log/slog"
	"path/filepath"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// traffic is for now made of the totals.
type traffic struct{ *telemetry.Telemetry }

func (t traffic) Watch(service string, fleets []string, origins ...string) engine.Watch {
	w := &totals{t: t.Telemetry, service: service, fleets: fleets, origins: origins, at: time.Now(), seen: map[string]telemetry.Counts{}}
	w.Read(time.Now())
	return w
}

type totals struct {
	t       *telemetry.Telemetry
	service string
	fleets  []string
	origins []string
	at      time.Time
	seen    map[string]telemetry.Counts
}

func (w *totals) Read(now time.Time) []guard.Window {
	sum := map[string]telemetry.Counts{}
	for _, t := range w.t.Totals() {
		if t.Service == w.service {
			c := sum[t.Origin]
			for i, n := range t.Counts.Class {
				c.Class[i] += n
			}
			sum[t.Origin] = c
		}
	}
	out := make([]guard.Window, len(w.origins))
	for i, o := range w.origins {
		before, is := w.seen[o], sum[o]
		out[i] = guard.Window{Length: now.Sub(w.at), Completed: is.Answers() - before.Answers(), Failed: is.Class[5] - before.Class[5]}
		tr := w.t.TrafficOver(w.fleets, w.service, o, now, 10*time.Second)
		if out[i].Completed > 0 {
			out[i].Latency = []guard.Bucket{{Above: tr.P99 * 9 / 10, UpTo: tr.P99 + time.Millisecond, Count: out[i].Completed}}
		}
	}
	w.at, w.seen = now, sum
	return out
}

func (w *totals) Reporting(now time.Time) (reporting, silent int) {
	tr := w.t.TrafficOver(w.fleets, w.service, w.origins[0], now, time.Second)
	return tr.Reporting, tr.Silent
}
func (w *totals) Changed() <-chan struct{} { return nil }
func (w *totals) Close()                   {}

type asked struct{}

func openAsked(*config, *slog.Logger) (*asked, error)       { return &asked{}, nil }
func (a *asked) close()                                     {}
func (a *asked) rules(c *config) control.RolloutRules       { return control.RolloutRules{Roles: c.rollouts.roles} }

// walks makes who walks rollouts.
func (p *parts) walks(c *config, log *slog.Logger) func(engine.Control) control.Rollouts {
	return func(hands engine.Control) control.Rollouts {
		return engine.New(engine.Config{
			Control: hands, Traffic: traffic{p.telemetry}, Dir: filepath.Join(c.dataDir, rolloutsDir), Roles: c.rollouts.roles, Log: log,
		})
	}
}
