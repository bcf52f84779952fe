package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// envoyCost is what changes of one kind cost a real Envoy.
type envoyCost struct {
	CPU   []float64 // s of all its threads, for each change
	Acked []float64 // s, for each: publication → acknowledgement
}

// Kinds of changes, in the order in which they are made. The fold is that of the one service whose weights changed before.
const (
	ofWeights   = "weights of one service"
	ofEndpoints = "endpoints of one origin"
	ofRoutes    = "routes of one service"
	ofFold      = "fold of one service"
)

var envoyChanges = []string{ofWeights, ofEndpoints, ofRoutes, ofFold}

func envoyCosts(m map[string]*envoyCost) string {
	var out []string
	for _, kind := range envoyChanges {
		out = append(out, fmt.Sprintf("%s: CPU %.2f ms, acknowledged after %.2f", kind, report.ByP50.Of(m[kind].CPU)*1e3, report.ByP50.Of(m[kind].Acked)*1e3))
	}
	return strings.Join(out, "; ")
}

const (
	// calmFlush keeps statistics, which grow with the services, out of what a change costs.
	calmFlush = 4 * time.Minute
	// afterChange is when its workers, too, are done with what an Envoy acknowledged.
	afterChange = 50 * time.Millisecond
)

// measureEnvoy measures what changes cost a real Envoy that has few and many services on one port.
func (p *parts) measureEnvoy(ctx context.Context) error {
	binary, err := p.envoy(ctx)
	if err != nil {
		return err
	}
	l := p.plan(p.sizes.envoy[0], changesOfEnvoy)
	l.envoy, l.flush = binary, calmFlush
	for _, e := range p.sizes.envoy {
		s := subject{system: crossfade, Envoys: 1, Workload: workload{Services: e.size, Flipping: min(p.one.Workload.Flipping, e.size), Host: loopback.Host()}}
		l.subjects = append(l.subjects, s)
	}
	got, err := l.measure(ctx)
	if err != nil {
		return err
	}
	p.envoyLines(l.subjects, got)
	return nil
}

// changesOfEnvoy is the course of a fleet that is one real Envoy.
func changesOfEnvoy(ctx context.Context, r *round) error {
	if err := r.each(ctx, (*runner).start, (*runner).startEnvoys, (*runner).warmUp); err != nil {
		return err
	}
	for _, one := range r.runners {
		one.m.Envoy = map[string]*envoyCost{}
		for _, kind := range envoyChanges {
			one.m.Envoy[kind] = &envoyCost{}
		}
	}
	if err := r.each(ctx, (*runner).fold); err != nil { // what warming up left in the top layer
		return err
	}
	if err := r.turns(ctx, r.flips, (*runner).changeEnvoy); err != nil {
		return err
	}
	return r.each(ctx, (*runner).envoysFollowed, (*runner).weighEnvoy)
}

// changeEnvoy makes one change of each kind.
func (r *runner) changeEnvoy(ctx context.Context) error {
	for _, kind := range envoyChanges {
		switch kind {
		case ofWeights:
			r.at.Flip++
		case ofEndpoints:
			r.at.Marked++
		case ofRoutes:
			r.routed++
		}
		if err := r.costs(ctx, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// costs makes a change and takes what it costs.
func (r *runner) costs(ctx context.Context, kind string) error {
	if kind != ofFold {
		if err := r.makeReady(ctx); err != nil {
			return err
		}
	}
	before := usage.Threads(r.envoys[0].PID())
	var took float64
	var err error
	if kind == ofFold {
		err = r.server.Call(ctx, "Fold", struct{}{}, &took)
	} else {
		var a FlipAnswer
		err = r.server.Call(ctx, "Flip", FlipArgs{1, true}, &a)
		took = a.Last
		if a.Late > 0 || a.Refused > 0 {
			err = cmp.Or(err, fmt.Errorf("not acknowledged within %v, or refused: %+v", flipTimeout, a))
		}
	}
	if err != nil {
		return err
	}
	if err := poll.Pause(ctx, afterChange); err != nil {
		return err
	}
	c := r.m.Envoy[kind]
	c.CPU, c.Acked = append(c.CPU, usage.Threads(r.envoys[0].PID())-before), append(c.Acked, took)
	return nil
}

func (r *runner) weighEnvoy(context.Context) error {
	r.m.EnvoyRSS = usage.Memory(r.envoys[0].PID(), "VmRSS")
	return nil
}

// envoyLines reports an Envoy with many services beside one with the fewest.
func (p *parts) envoyLines(subjects []subject, runs results) {
	add := func(name, unit string, more map[string]any, of func(*measured) []float64) {
		m := metric{name: name, unit: unit, by: report.ByMean, of: func(_ subject, m *measured) []float64 { return of(m) }}
		for i, s := range subjects {
			l := runs.line(s, "envoy", m, s.with(more))
			if i > 0 {
				p.compare(runs, l, m.by, side{s, m}, side{subjects[0], m}, fmt.Sprintf("envoy, %d services", subjects[0].Workload.Services))
			}
			p.report.Add(l)
		}
	}
	for _, kind := range envoyChanges {
		c := map[string]any{"part": "envoy", "change": kind}
		add("envoy_cpu", "s", c, func(m *measured) []float64 { return m.Envoy[kind].CPU })
		add("envoy_acked", "s", c, func(m *measured) []float64 { return m.Envoy[kind].Acked })
	}
	add("envoy_memory", "bytes", map[string]any{"part": "envoy"}, func(m *measured) []float64 { return []float64{m.EnvoyRSS} })
}
