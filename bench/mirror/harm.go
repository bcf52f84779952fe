package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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
	b.harmLine(peer, map[string]any{"envoy": version, "mirrored": "nothing"}, sum, "")
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
	end, err := st.Begin(ctx)
	if err == nil {
		err = poll.Pause(ctx, b.inState)
	}
	if end != nil {
		err = errors.Join(err, end())
	}
	sum := load.Stop()
	if err := errors.Join(err, s.exited()); err != nil {
		return err
	}
	after, err := s.mirrored(ctx)
	if err != nil {
		return err
	}
	var note string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		note += fmt.Sprintf("; %s: %d copies came", name, after[name]-mirrored[name])
	}
	c := map[string]any{"envoy": version, "mirrored": "all", "who": st.Who, "is": st.How}
	b.harmLine(system, c, sum, note)
	b.memoryLines(c, seen(), bare)
	return nil
}

// mirrored is how many copies have come, by experiment.
func (s *site) mirrored(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	for _, name := range []string{"one", "two", "rpc"} {
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

func (b *bench) harmLine(of string, c map[string]any, sum exact.Sum, note string) {
	line := report.NewLine(of, "requests", "requests", c, report.Series{{float64(sum.Done)}})
	line.N, line.Failed, line.Note = int(sum.Done), int(sum.Bad()), sum.String()+note
	if of == system && b.Size != report.Quick {
		line.AimNone()
	}
	b.r.Add(line)
	fmt.Printf("harm, %v: %s\n", c, line.Note)
}

// memoryLines tell how much each process had. An Envoy is held against what it had under the same load without copies.
func (b *bench) memoryLines(c map[string]any, seen, bare map[string]memory) {
	for _, kind := range slices.Sorted(maps.Keys(seen)) {
		m := seen[kind]
		line := report.NewLine(system, "memory of "+kind+", peak", "bytes", c, report.Series{{m.peak}})
		line.Note = fmt.Sprintf("before the state %.0f MiB; under the same load without copies at most %.0f MiB", m.before/(1<<20), bare[kind].peak/(1<<20))
		if b.Size != report.Quick {
			switch kind {
			case "envoy":
				aim(line, m.peak-bare[kind].peak <= moreRSS, "at most %d MiB more than without copies", moreRSS>>20)
			case "comparator":
				aim(line, m.peak <= mostRSS, "at most %d MiB", mostRSS>>20)
			}
		}
		b.r.Add(line)
		fmt.Printf("harm, %v: %s: %.0f MiB; %s\n", c, line.Metric, m.peak/(1<<20), line.Note)
	}
}

// aim says what a line should be, and whether it is.
func aim(l *report.Line, met bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.Aim, l.Met = &text, &met
}
