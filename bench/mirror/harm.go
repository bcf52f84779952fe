package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/mirror/beside"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	moreRSS = 100 << 20 // bytes by which an Envoy may grow
	mostRSS = 1 << 30   // bytes of the comparator
)

// everything is the load of all sizes and protocols.
func (s *site) everything() []exact.Stream {
	return exact.Everything(s.targets()[0], map[exact.Protocol]string{exact.HTTP1: "one.test", exact.HTTP2: "two.test", exact.GRPC: "rpc.test"}, control)
}

// harms runs all states on both versions of Envoy.
func (b *bench) harms(ctx context.Context) error {
	for _, version := range []string{envoybin.Newest, envoybin.Oldest} {
		if err := b.harmsOn(ctx, version); err != nil {
			return fmt.Errorf("envoy %s: %w", version, err)
		}
	}
	return nil
}

func (b *bench) harmsOn(ctx context.Context, version string) error {
	s, err := b.site(ctx, version, 1, false)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := b.bare(ctx, s, version)
	if err != nil {
		return err
	}
	if err := s.start(ctx, writing("one"), writing("two"), writing("rpc")); err != nil {
		return err
	}
	for _, st := range s.place().States() {
		if err := b.harm(ctx, s, version, st, before); err != nil {
			return fmt.Errorf("%v: %w", st, err)
		}
	}
	return nil
}

// bare is the same load without any copy: what memory it takes by itself, and that it is served.
func (b *bench) bare(ctx context.Context, s *site, version string) (map[string]memory, error) {
	seen := s.watchMemory(ctx)
	load := exact.Start(ctx, s.everything())
	err := poll.Pause(ctx, b.inState)
	sum := load.Stop()
	b.harmLine(peer, map[string]any{"envoy": version, "mirrored": "nothing"}, sum, "", "")
	return seen(), err
}

func (b *bench) harm(ctx context.Context, s *site, version string, st beside.State, bare map[string]memory) error {
	mirrored, err := s.mirrored(ctx)
	if err != nil {
		return err
	}
	seen := s.watchMemory(ctx)
	load := exact.Start(ctx, s.everything())
	defer load.Stop()
	for name, n := range mirrored { // copies are made, whatever comes then
		if err := s.awaitMirrored(ctx, name, n); err != nil {
			return err
		}
	}
	copies, err := s.watchCopies(ctx, st, load)
	if err != nil {
		return err
	}
	end, err := st.Begin(ctx)
	if err == nil {
		err = poll.Pause(ctx, b.inState)
	}
	if end != nil {
		err = errors.Join(err, end())
	}
	sum := load.Stop()
	in, watched := copies()
	if err := errors.Join(err, s.exited(), watched); err != nil {
		return err
	}
	c := map[string]any{"envoy": version, "mirrored": "all", "who": st.Who, "is": st.How}
	b.harmLine(system, c, sum, "; "+in.String(), in.wrong())
	b.memoryLines(c, seen(), bare, in.wrong())
	return nil
}

// watchCopies counts what is copied in a state, from now until the returned function is called, after the end of the load.
func (s *site) watchCopies(ctx context.Context, st beside.State, load *exact.Load) (stop func() (stateCopies, error), err error) {
	in := stateCopies{disturbed: st.Who == "comparator", healthy: st.Who == "all"}
	before := int64(0)
	if !in.disturbed { // else counts are late, or lost
		if before, err = s.asked(ctx); err != nil {
			return nil, err
		}
	}
	begun, err := s.copied(ctx)
	if err != nil {
		return nil, err
	}
	sent := growth{last: begun}
	in.requests = -load.Sum().Copied()
	look := func(int) error {
		n, err := s.copied(ctx)
		if err == nil {
			sent.at(n)
		}
		return err
	}
	end := beside.Repeatedly(ctx, 100*time.Millisecond, look)
	return func() (stateCopies, error) {
		in.requests += load.Sum().Copied()
		if err := errors.Join(end(), look(0)); err != nil {
			return in, err
		}
		in.sent = sent.sum
		if in.disturbed {
			return in, nil
		}
		after, err := s.asked(ctx)
		in.asked = after - before
		return in, err
	}, nil
}

// growth is how much a count has grown that begins again at 0 whenever the comparator, by which a proxy counts, is another one.
type growth struct{ last, sum int64 }

func (g *growth) at(n int64) {
	if n < g.last {
		g.last = 0
	}
	g.sum, g.last = g.sum+n-g.last, n
}

// stateCopies are what was copied in a state.
type stateCopies struct {
	disturbed, healthy bool  // the comparator, or nobody
	requests           int64 // of clients, of which there should be copies
	sent               int64 // copies, by the proxies' count
	asked              int64 // of these, by the comparator's count, which is not known while that is disturbed
}

func (s stateCopies) String() string {
	if s.disturbed {
		return fmt.Sprintf("%d requests to copy in this state, %d copies sent", s.requests, s.sent)
	}
	return fmt.Sprintf("%d requests to copy in this state, %d copies sent, %d asked", s.requests, s.sent, s.asked)
}

// wrong says what was missing of copies; empty if nothing was. Proxies send none to a comparator that they hold for dead, so only some go to one that is
// disturbed; nothing else keeps them. Comparators do not ask all: half at least while nobody is disturbed, as the machine is busy with the load, and of a
// candidate that is disturbed as much as they can have in flight.
func (s stateCopies) wrong() string {
	switch {
	case s.sent == 0:
		return fmt.Sprintf("no copy of %d requests was sent", s.requests)
	case s.disturbed:
		return ""
	case s.asked <= 0 || s.healthy && s.asked < s.sent/2:
		return fmt.Sprintf("%d of %d copies were asked", s.asked, s.sent)
	}
	return tooFew(whole, copying{s.requests, s.sent})
}

// asked is how many copies comparators have asked, of all experiments, by counts from after this moment.
func (s *site) asked(ctx context.Context) (n int64, err error) {
	if _, err := s.fresh(ctx, services[0]); err != nil { // the counts of all come together
		return 0, err
	}
	for _, name := range services {
		r, err := s.found(ctx, name)
		if err != nil {
			return 0, err
		}
		n += asked(r)
	}
	return n, nil
}

// services are all of them, and their experiments.
var services = []string{"one", "two", "rpc"}

// mirrored is how many copies have come, by experiment.
func (s *site) mirrored(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	for _, name := range services {
		r, err := s.found(ctx, name)
		if err != nil {
			return nil, err
		}
		if r.GetState() == "ended" {
			return nil, fmt.Errorf("%s has ended: %s", name, r.GetRun().GetDetail())
		}
		out[name] = r.GetMirrored()
	}
	return out, nil
}

func (b *bench) harmLine(of string, c map[string]any, sum exact.Sum, note, wrong string) {
	line := report.NewLine(of, "requests", "requests", c, report.Series{{float64(sum.Done)}})
	line.N, line.Failed, line.Note = int(sum.Done), int(sum.Bad()), sum.String()+note
	if of == system {
		line.AimNone()
	}
	b.r.Add(invalidate(line, wrong))
	fmt.Printf("harm, %v: %s %s\n", c, line.Note, wrong)
}

// memoryLines tell how much each process had. An Envoy is held against what it had under the same load without copies.
func (b *bench) memoryLines(c map[string]any, seen, bare map[string]memory, wrong string) {
	for _, kind := range slices.Sorted(maps.Keys(seen)) {
		m := seen[kind]
		line := report.NewLine(system, "memory of "+kind+", peak", "bytes", c, report.Series{{m.peak}})
		line.Note = fmt.Sprintf("before the state %.0f MiB; under the same load without copies at most %.0f MiB", m.before/(1<<20), bare[kind].peak/(1<<20))
		switch more := m.peak - bare[kind].peak; kind {
		case "envoy":
			line.AimOf(fmt.Sprintf("at most %d MiB more than without copies", moreRSS>>20), fmt.Sprintf("%.0f MiB more", more/(1<<20)), m.peak > 0 && more <= moreRSS)
		case "comparator":
			line.AimOf(fmt.Sprintf("at most %d MiB", mostRSS>>20), fmt.Sprintf("%.0f MiB", m.peak/(1<<20)), m.peak > 0 && m.peak <= mostRSS)
		}
		b.r.Add(invalidate(line, wrong))
		fmt.Printf("harm, %v: %s: %.0f MiB; %s\n", c, line.Metric, m.peak/(1<<20), line.Note)
	}
}
