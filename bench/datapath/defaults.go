package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// defaults is the part that has the aim: what a request costs an Envoy of ours, with everything as it is by default, beside others.
func (b *bench) defaults(ctx context.Context) error {
	s, err := b.site(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	one, err := s.fleet(ctx, feature{name: "one"}, b.addresses())
	if err != nil {
		return err
	}
	many, err := s.fleet(ctx, feature{name: "many", others: b.services - 1, spread: true}, b.addresses())
	if err != nil {
		return err
	}
	one.c, many.c = map[string]any{"services": 1}, map[string]any{"services": b.services}
	own, big, peer := &entry{system: one}, &entry{system: many}, &entry{}
	var end func()
	if peer.system, end, err = b.startMinimal(ctx); err != nil {
		return err
	}
	defer end()
	all := []*entry{own, peer, big}
	for _, p := range peers {
		other, end, err := b.startPeer(ctx, p)
		if errors.Is(err, errAbsent) {
			fmt.Println(err)
			continue
		}
		if err != nil {
			return err
		}
		defer end()
		all = append(all, &entry{system: other})
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := b.chooseRate(ctx, one); err != nil {
		return err
	}
	if err := b.inTurns(ctx, b.turns, all); err != nil {
		return err
	}
	for _, e := range all {
		l := b.cost(e, versus(e, peer), minimal)
		if e == own && b.Size != report.Quick {
			l.AimRatio(aim)
			*l.Met = *l.Met && aimCounts(own, peer)
		}
		b.rest(e)
	}
	return b.saturate(ctx, all)
}

// aimCounts is false if the figures of either are of another load than they should be.
func aimCounts(own, peer *entry) bool { return own.valid() && peer.valid() }

// versus is the peer, for all but itself.
func versus(e, peer *entry) *entry {
	if e == peer {
		return nil
	}
	return peer
}

// saturate measures how much each system answers when it is sent too much.
func (b *bench) saturate(ctx context.Context, all []*entry) error {
	most := make([]*entry, len(all))
	for i, e := range all {
		most[i] = &entry{system: e.system}
	}
	for round := range max(1, b.turns/4) {
		for i := range most {
			if err := b.turn(ctx, tooMuch, b.glance, most[(i+round)%len(most)]); err != nil {
				return err
			}
		}
	}
	rate := func(e *entry) report.Series { return e.series(func(t turn) float64 { return t.rate }) }
	for _, e := range most {
		l := report.NewLine(e.name, "saturation", "requests/s", e.c, rate(e))
		if l.Note = "the load generator, the origins and one worker of the proxy share this machine"; l.Max > 0.9*tooMuch {
			l.Note += "; the load generator gives no more"
		}
		if peer := most[1]; e != peer && b.Size != report.Quick {
			l.Compare(minimal, report.ByMean, rate(e), rate(peer))
		}
		b.r.Add(l)
		fmt.Printf("%-64s %6.0f requests/s at most\n", e.name+", "+caseOf(e.c), l.Mean)
	}
	return nil
}
