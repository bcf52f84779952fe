package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	capRPS = 100 // copies per second, of the jump
	beyond = 1.1 // by which the cap may be exceeded in any second
)

// counts finds out how much a comparator does, holds its counts against logs at half of that and at all, and lets traffic jump.
func (b *bench) counts(ctx context.Context) error {
	s, err := b.site(ctx, envoybin.Newest, 1, true)
	if err != nil {
		return err
	}
	defer s.close()
	full, err := b.capacity(ctx, s)
	if err != nil {
		return fmt.Errorf("capacity: %w", err)
	}
	for _, c := range []struct {
		load string
		rate float64
	}{{"half", full / 2}, {"full", full}} {
		if err := b.countsAt(ctx, s, c.load, c.rate); err != nil {
			return fmt.Errorf("%s load: %w", c.load, err)
		}
	}
	if err := b.jump(ctx, s); err != nil {
		return fmt.Errorf("jump: %w", err)
	}
	return s.exited()
}

// step is one rate of the load.
type step struct {
	rate, sent float64 // requests per second: as meant, and as it was
	pairs      float64 // compared, per second
	each       float64 // seconds of the comparator's CPU per pair
}

// capacity raises the load until no more pairs are compared, and returns the rate of requests at which most were.
func (b *bench) capacity(ctx context.Context, s *site) (rate float64, err error) {
	if err := s.startFlowing(ctx, whole); err != nil {
		return 0, err
	}
	var best step
	var rates, pairs []float64
	const first, growth, enough = 500, 1.6, 10
	for at, n := float64(first), 0; n < enough; at, n = at*growth, n+1 {
		now, note, err := b.climbTo(ctx, s, at)
		if err != nil {
			return 0, err
		}
		rates, pairs = append(rates, now.sent), append(pairs, now.pairs)
		fmt.Printf("capacity: %.0f requests/s: %.0f pairs/s, %.2f ms of the comparator's CPU each; %s\n", now.sent, now.pairs, now.each*1e3, note)
		if now.pairs > best.pairs {
			best = now
		}
		if now.pairs < best.pairs || now.pairs < 0.8*now.rate {
			break
		}
	}
	c := map[string]any{"proxies": 1, "comparators": 1, "answers": "16 B"}
	line := report.NewLine(system, "pairs compared", "per second", c, report.Series{{best.pairs}})
	line.Note = fmt.Sprintf("clients, proxy and origins are on the same cores; at %.0f requests/s: %.0f", rates, pairs)
	b.r.Add(line)
	b.r.Add(report.NewLine(system, "cpu of the comparator for a pair", "s", c, report.Series{{best.each}}))
	return best.pairs, s.stop(ctx, "one")
}

// climbTo measures at one rate, once it is there.
func (b *bench) climbTo(ctx context.Context, s *site, rate float64) (step, string, error) {
	l, err := s.load(ctx, rate)
	if err != nil {
		return step{}, "", err
	}
	defer l.stop()
	before, err := s.fresh(ctx, "one")
	if err != nil {
		return step{}, "", err
	}
	used := s.spent()
	if err := poll.Pause(ctx, b.climb); err != nil {
		return step{}, "", err
	}
	after, err := s.fresh(ctx, "one")
	if err != nil {
		return step{}, "", err
	}
	used = s.spent().minus(used)
	sum := l.stop()
	n := float64(after.GetCompared() - before.GetCompared())
	seconds := after.GetCounted().AsTime().Sub(before.GetCounted().AsTime()).Seconds()
	return step{rate, sum.achieved, n / seconds, used.comparator / max(1, n)}, fmt.Sprintf("%v; %s", sum, results(after)), nil
}

// countsAt holds a report against the logs.
func (b *bench) countsAt(ctx context.Context, s *site, load string, rate float64) error {
	if err := s.start(ctx, withNoise(document("one", whole), 0)); err != nil {
		return err
	}
	copies, err := s.copied(ctx)
	if err != nil {
		return err
	}
	ecs, eks := s.ecs.Total(), s.eks.Total()
	got, err := s.during(ctx, rate, b.count)
	if err != nil {
		return err
	}
	r, sent, err := s.settled(ctx, "one", copies)
	if err != nil {
		return err
	}
	b.auditLine(load, got, audit{
		live: int64(got.done), sent: sent, report: r,
		candidate: int64(s.eks.Total() - eks), control: int64(s.ecs.Total()-ecs) - int64(got.done),
	})
	return s.stop(ctx, "one")
}

// audit is a report beside what others counted.
type audit struct {
	live               int64 // requests of clients, all to be copied
	sent               int64 // copies by the proxies' count
	candidate, control int64 // copies by the origins' logs
	report             *crossfadev1.MirrorReport
}

// errors lists what does not fit.
func (a audit) errors() (out []string) {
	r := a.report
	if n := accounted(r); n != r.GetMirrored() {
		out = append(out, fmt.Sprintf("%d came, %d are accounted for", r.GetMirrored(), n))
	}
	if r.GetMirrored() > a.live || r.GetMirrored() != a.sent {
		out = append(out, fmt.Sprintf("%d came, of %d requests, and proxies sent %d", r.GetMirrored(), a.live, a.sent))
	}
	pairs := r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed()
	// Of a pair that was dropped while it was asked, either side may have been asked.
	most := pairs
	for _, cause := range []string{"late", "proxy", "budget", "canceled", "panic"} {
		most += r.GetDropped()[cause]
	}
	for _, side := range []struct {
		name string
		n    int64
	}{{candidate, a.candidate}, {control, a.control}} {
		if side.n < pairs || side.n > most {
			out = append(out, fmt.Sprintf("%s was asked %d times for %d to %d pairs", side.name, side.n, pairs, most))
		}
	}
	return out
}

func (b *bench) auditLine(load string, got sum, a audit) {
	wrong := a.errors()
	c := map[string]any{"load": load, "proxies": 1}
	line := report.NewLine(system, "copies", "requests", c, report.Series{{float64(a.report.GetMirrored())}})
	line.N, line.Failed, line.OfferedRPS, line.AchievedRPS = int(a.report.GetMirrored()), len(wrong), &got.offered, &got.achieved
	line.Note = fmt.Sprintf("%s; %d requests, of which the proxies copied %d; the logs have %d at %s and %d at %s; %v",
		results(a.report), a.live, a.sent, a.control, control, a.candidate, candidate, got)
	if len(wrong) > 0 {
		line.Note = fmt.Sprintf("does not fit: %q; %s", wrong, line.Note)
	}
	line.AimOf("exactly what logs and proxies counted", fmt.Sprintf("%d do not fit", len(wrong)), len(wrong) == 0)
	b.r.Add(invalidate(line, tooFew(whole, copying{a.live, a.sent})))
	fmt.Printf("counts at %s load: %s %s\n", load, line.Note, line.Invalid)
}

// jump lets traffic grow tenfold in a moment while a cap holds.
func (b *bench) jump(ctx context.Context, s *site) error {
	m := withNoise(document("one", whole), 0)
	m.MaxRps = capRPS
	if err := s.start(ctx, m); err != nil {
		return err
	}
	low, err := s.load(ctx, capRPS)
	if err != nil {
		return err
	}
	err = errors.Join(s.awaitMirrored(ctx, "one", capRPS), poll.Pause(ctx, time.Second))
	if err != nil {
		low.stop()
		return err
	}
	sent, err := s.copied(ctx)
	if err != nil {
		low.stop()
		return err
	}
	began := monotime.Now()
	high, err := s.during(ctx, 9*capRPS, b.tenfold)
	slowly := low.stop()
	if err != nil {
		return err
	}
	jumped := copying{requests: int64(high.done) * 10 / 9, copies: -sent} // with those that went on
	if sent, err = s.copied(ctx); err != nil {
		return err
	}
	jumped.copies += sent
	r, err := s.fresh(ctx, "one")
	if err != nil {
		return err
	}
	for _, o := range []*origin.Origin{s.eks, s.ecs} {
		b.jumpLine(o, began, r, high, slowly, jumped)
	}
	return s.stop(ctx, "one")
}

func (b *bench) jumpLine(o *origin.Origin, began time.Duration, r *crossfadev1.MirrorReport, high, low sum, jumped copying) {
	var at []time.Duration
	since := 0
	for _, q := range o.Requests() {
		if q.At < began-time.Second || !isCopy(q) {
			continue
		}
		if at = append(at, q.At); q.At >= began {
			since++
		}
	}
	spans := inSecond(at)
	line := report.NewLine(system, "requests asked in a second", "requests", map[string]any{"origin": o.Name(), "maxRps": capRPS, "traffic": "10 times maxRps, from one moment to the next"}, report.Series{spans})
	both := total([]sum{high, low})
	offered, achieved := high.offered+low.offered, high.achieved+low.achieved
	line.Failed, line.OfferedRPS, line.AchievedRPS = int(both.failed), &offered, &achieved
	line.Note = fmt.Sprintf("the most in any span of 1 s counts; %s; live: %v", results(r), high)
	line.AimOf(fmt.Sprintf("at most %.0f in any second, 0 failed", beyond*capRPS), fmt.Sprintf("at most %.0f, %d failed", line.Max, line.Failed),
		line.Max <= beyond*capRPS && line.Failed == 0)
	b.r.Add(invalidate(line, tooSlow(high, low), tooFew(whole, jumped), unpressed(since, b.tenfold)))
	fmt.Printf("jump, at %s: at most %.0f in a second, p50 %.0f; %s %s\n", o.Name(), line.Max, line.P50, line.Note, line.Invalid)
}

// unpressed says that an origin was asked less than the cap allows; empty if it was not. A cap that nothing presses against holds nothing.
func unpressed(asked int, d time.Duration) string {
	if least := enoughCopies * capRPS * d.Seconds(); float64(asked) < least {
		return fmt.Sprintf("asked %d times in %v, though %d per second are allowed", asked, d, capRPS)
	}
	return ""
}

// inSecond counts, for each time, how many there are in the second that begins with it.
func inSecond(at []time.Duration) (out []float64) {
	slices.Sort(at)
	end := 0
	for i, from := range at {
		for end < len(at) && at[end] < from+time.Second {
			end++
		}
		out = append(out, float64(end-i))
	}
	return out
}
