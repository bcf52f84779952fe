package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// defaults is the part that has the aim: what a request costs an Envoy of ours, with everything as it is by default, beside others.
func (b *bench) defaults(ctx context.Context) error {
	if err := b.chooseRate(ctx); err != nil {
		return err
	}
	one := map[string]any{"services": 1, "part": "defaults"}
	own, peer := &entry{system: b.fleet(feature{name: "one"})}, &entry{system: b.minimal(one)}
	big := &entry{system: b.fleet(feature{name: "many", others: b.services - 1, spread: true})}
	own.c, big.c = one, map[string]any{"services": b.services, "part": "defaults"}
	all := []*entry{own, peer, big}
	var absent []*report.Line
	for _, p := range peers {
		other, err := b.peer(ctx, p, one)
		if errors.Is(err, errAbsent) {
			absent = append(absent, unmeasured(p, one, err))
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, &entry{system: other})
	}
	most := make([]*entry, len(all))
	for i, e := range all {
		most[i] = &entry{system: e.system}
	}
	for i := range b.turns {
		if err := b.fresh(ctx, all, func() error {
			if err := b.round(ctx, i, b.rate, b.window, all); err != nil {
				return err
			}
			for j, e := range most {
				e.now = all[j].now
			}
			return b.round(ctx, i, tooMuch, b.warm, most)
		}); err != nil {
			return err
		}
	}
	b.reportDefaults(all, peer)
	b.reportMost(most, most[1])
	for _, l := range absent {
		b.r.Add(l)
	}
	return nil
}

// unmeasured is the line of a peer that is not here.
func unmeasured(p peer, c map[string]any, why error) *report.Line {
	l := report.NewLine(p.name, "cpu_per_request", "s", c, nil)
	l.Note = why.Error()
	fmt.Printf("%s: %s\n", p.name, l.Note)
	return l
}

// reportDefaults adds what the systems cost, compared with the minimal one. The first is ours, which has the aim.
func (b *bench) reportDefaults(all []*entry, peer *entry) {
	for i, e := range all {
		v := versus{peer, minimal}
		if e == peer {
			v = versus{}
		}
		l := b.cost(e, v)
		if i == 0 && b.Size != report.Quick {
			l.AimRatio(aim)
			fmt.Println(aimText(l))
		}
		b.rest(e, v)
	}
}

// aimText says whether the aim is met, and of what.
func aimText(l *report.Line) string {
	met := "not met"
	if *l.Met {
		met = "met"
	}
	text := fmt.Sprintf("the aim, CPU per request of a live proxy with defaults at the whole rate, %s, is %s: %s", *l.Aim, met, l.Measured)
	if l.Invalid != "" {
		text += "; " + l.Invalid
	}
	return text
}

// reportMost adds how much each system answers when it is sent too much.
func (b *bench) reportMost(most []*entry, peer *entry) {
	rate := func(e *entry) report.Series { return e.series(func(t turn) float64 { return t.rate }) }
	for _, e := range most {
		l := report.NewLine(e.name, "saturation", "requests/s", e.c, rate(e))
		if l.Note = "the load generator, the origins and one worker of the proxy share this machine"; l.Max > 0.9*tooMuch {
			l.Note += "; the load generator gives no more"
		}
		if e != peer && b.Size != report.Quick {
			l.Compare(minimal, report.ByMean, rate(e), rate(peer))
		}
		b.r.Add(l)
		fmt.Printf("%-64s %6.0f requests/s at most\n", e.name+", "+l.CaseText(), l.Mean)
	}
}
