package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

const (
	half = 0.40 // of the machine, while everything is copied
	// mostFlipping is how busy the whole machine may be while rollbacks are measured.
	mostFlipping = 0.5
	proxies      = 2
	silence      = 200 * time.Millisecond // how long eks has had no request when a rollback is over
	recent       = 30 * time.Millisecond  // how fresh the last request is where all requests are
	settling     = 150 * time.Millisecond // from the first copies until as many come as requests: each is asked 5 to 25 ms after its request
	looked       = 100 * time.Millisecond // before the call, in which there must be a copy for each request
	slower       = 1.5                    // by which a rollback may take longer
	batch        = 5                      // rollbacks of each kind in a round
)

// flip is one rollback, in seconds from its call.
type flip struct {
	live float64 // the last live request at eks
	copy float64 // the last copy there
	ack  float64 // when the last proxy had acknowledged
	late float64 // how many copies arrived after the acknowledgement

	before copying // at eks, in the time of looked before the call
}

// done is when the last proxy had acknowledged and the last live request had come to eks. The latter alone is 0 wherever the gap between two requests
// was longer than the rollback, and the former alone does not know whether the proxies did what they said.
func (f flip) done() float64 { return max(f.live, f.ack) }

// rollbacks compares rollbacks while everything is copied with others.
func (b *bench) rollbacks(ctx context.Context) error {
	s, err := b.site(ctx, envoybin.Newest, proxies, true)
	if err != nil {
		return err
	}
	defer s.close()
	rnd := rand.New(rand.NewPCG(b.Seed, 1))
	if err := errors.Join(s.toOld(ctx), s.startFlowing(ctx, whole)); err != nil {
		return err
	}
	rate, err := s.rateFor(ctx, half)
	if err != nil {
		return err
	}
	if err := s.stop(ctx, "one"); err != nil {
		return err
	}
	l, err := s.load(ctx, rate)
	if err != nil {
		return err
	}
	with, without, err := rounds(b.batches, func(mirrored bool) (flip, error) { return s.flip(ctx, rnd, mirrored) })
	sum := l.stop()
	if err := errors.Join(err, s.exited()); err != nil {
		return err
	}
	b.rollbackLines(with, without, sum)
	return nil
}

// rounds makes so many rounds of rollbacks, in each a batch of either kind, which begin it in turn. One that fails ends all: what it would have been
// nobody knows, and a round without it is a better one.
func rounds(n int, one func(mirrored bool) (flip, error)) (with, without [][]flip, err error) {
	for i := range n {
		for _, mirrored := range []bool{i%2 == 0, i%2 != 0} {
			var round []flip
			for k := range batch {
				f, err := one(mirrored)
				if err != nil {
					return nil, nil, fmt.Errorf("rollback %d of round %d, mirrored: %t: %w", k+1, i+1, mirrored, err)
				}
				round = append(round, f)
			}
			if mirrored {
				with = append(with, round)
			} else {
				without = append(without, round)
			}
		}
	}
	return with, without, nil
}

// toOld brings live requests to eks.
func (s *site) toOld(ctx context.Context) error {
	_, err := s.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{
		Service: "one", Weights: map[string]int32{candidate: whole}, Options: changeOptions(crossfadev1.Wait_WAIT_ACKED),
	})
	return err
}

// flip brings everything to eks, with copies or without, and rolls back.
func (s *site) flip(ctx context.Context, rnd *rand.Rand, mirrored bool) (f flip, err error) {
	if err := s.toOld(ctx); err != nil {
		return f, err
	}
	if mirrored {
		if err := s.start(ctx, document("one", whole)); err != nil { // waits for the end of the one before
			return f, err
		}
	}
	if err := await(ctx, "all requests at "+candidate, func(context.Context) error { return s.atOld(mirrored) }); err != nil {
		return f, err
	}
	monotime.SleepUntil(monotime.Now() + settling + time.Duration(rnd.Int64N(int64(50*time.Millisecond))))
	at := monotime.Now()
	got, err := s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "one", Options: changeOptions(crossfadev1.Wait_WAIT_ACKED)})
	if err != nil {
		return f, err
	}
	fleet := got.GetChanges()[0].GetFleet()
	if int(fleet.GetAcked()) != len(s.Proxies) {
		return f, fmt.Errorf("not every proxy acknowledged: %v", fleet)
	}
	f.ack = fleet.GetAckMs() / 1e3
	if err := await(ctx, candidate+" to be silent", func(context.Context) error {
		if last, _ := s.eks.Last(""); monotime.Now()-max(last, at) < silence {
			return errors.New("it still gets requests")
		}
		return nil
	}); err != nil {
		return f, err
	}
	for _, r := range slices.Backward(s.eks.Requests()) {
		after := (r.At - at).Seconds()
		switch {
		case after < -looked.Seconds():
			return f, nil
		case after < 0 && isCopy(r):
			f.before.copies++
		case after < 0:
			f.before.requests++
		case !isCopy(r):
			f.live = max(f.live, after)
		default:
			if f.copy = max(f.copy, after); after > f.ack {
				f.late++
			}
		}
	}
	return f, errors.New("the log of the origin is too short for the rate")
}

func isCopy(r origin.Request) bool { return len(r.Get("x-shadow")) > 0 }

// atOld is an error unless eks gets everything live, and copies or none.
func (s *site) atOld(mirrored bool) error {
	now := monotime.Now()
	live, copies := false, false
	for _, r := range slices.Backward(s.eks.Requests()) {
		if now-r.At > recent {
			break
		}
		if isCopy(r) {
			copies = true
		} else {
			live = true
		}
	}
	for _, r := range slices.Backward(s.ecs.Requests()) {
		if now-r.At > recent {
			break
		}
		if !isCopy(r) {
			return errors.New("live requests are at " + control)
		}
	}
	if !live || copies != mirrored {
		return fmt.Errorf("live requests: %t, copies: %t", live, copies)
	}
	return nil
}

func seriesOf(rounds [][]flip, of func(flip) float64) (s report.Series) {
	for _, round := range rounds {
		var all []float64
		for _, f := range round {
			all = append(all, of(f))
		}
		s = append(s, all)
	}
	return s
}

// rollbackLines adds what rollbacks with a mirror and without say. Rounds are compared by their means: the 99th percentile of so few is the longest one,
// which says more of the machine than of the mirror. That of all of a kind is told beside it.
func (b *bench) rollbackLines(with, without [][]flip, load sum) {
	var copied []copying
	for _, round := range with {
		var c copying
		for _, f := range round {
			c.requests, c.copies = c.requests+f.before.requests, c.copies+f.before.copies
		}
		copied = append(copied, c)
	}
	busy := []float64{load.used.share()}
	wrong := []string{tooSlow(load), tooFew(whole, copied...), tooBusy(busy, mostFlipping)}
	add := func(of, metric, unit string, s report.Series) *report.Line {
		l := report.NewLine(of, metric, unit, map[string]any{"proxies": proxies, "mirrored": map[string]string{system: "100%", peer: "nothing"}[of]}, s)
		l.OfferedRPS, l.AchievedRPS, l.Failed, l.Note = &load.offered, &load.achieved, int(load.failed), load.String()
		b.r.Add(invalidate(l, wrong...))
		return l
	}
	own, other := seriesOf(with, flip.done), seriesOf(without, flip.done)
	l, p := add(system, "rollback", "s", own), add(peer, "rollback", "s", other)
	l.Note = fmt.Sprintf("p99 of all is %.2f times that without a mirror; %s", l.P99/max(p.P99, 1e-9), l.Note)
	slowerAim(l.Compare(peer, report.ByMean, own, other))
	live, ack := func(f flip) float64 { return f.live }, func(f flip) float64 { return f.ack }
	last := []*report.Line{add(system, "last_request", "s", seriesOf(with, live)), add(peer, "last_request", "s", seriesOf(without, live))}
	for _, x := range last {
		x.Note = fmt.Sprintf("between two requests through a proxy there are %.1f ms in the mean: what is shorter may not show, and is 0; %s", proxies/load.achieved*1e3, x.Note)
	}
	for _, x := range append([]*report.Line{l, p}, append(last, add(system, "last_copy", "s", seriesOf(with, func(f flip) float64 { return f.copy })),
		add(system, "acked", "s", seriesOf(with, ack)), add(peer, "acked", "s", seriesOf(without, ack)))...) {
		fmt.Printf("rollback, %s: %s of %d: mean %.1f ms, p50 %.1f, p99 %.1f, max %.1f\n", x.System, x.Metric, x.N, x.Mean*1e3, x.P50*1e3, x.P99*1e3, x.Max*1e3)
	}
	late := add(system, "copies_after_acknowledgement", "requests", seriesOf(with, func(f flip) float64 { return f.late }))
	fmt.Printf("rollback: %s; copies after the acknowledgement: p50 %.0f, max %.0f %s\n", l.Note, late.P50, late.Max, l.Invalid)
	b.busyLine("rollback", busy, mostFlipping)
}

// slowerAim says that all of the interval of the ratio should be at most slower, and no request fail.
func slowerAim(l *report.Line) {
	l.AimRatio(slower)
	l.AimOf(fmt.Sprintf("all of the interval of the ratio at most %g, 0 failed", slower), fmt.Sprintf("%s, %d failed", l.Measured, l.Failed), *l.Met && l.Failed == 0)
}
