package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
)

const whole = 10000 // basis points

// document is an experiment that nothing but its stop ends, on a service, by whose name it goes.
func document(service string, share int32) *crossfadev1.Mirror {
	return &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: service, Service: service, Candidate: candidate, Share: share, MaxRps: unlimited,
		Learn: durationpb.New(0), Duration: durationpb.New(time.Hour), OneBody: true, CompareHeaders: []string{"content-type"}, // x-origin differs
		Stop: &crossfadev1.MirrorStop{CandidateErrors: 1_000_000, ControlRefusals: 1_000_000},
	}
}

// writing is the same with uploads, and for gRPC.
func writing(service string) *crossfadev1.Mirror {
	m := document(service, whole)
	m.MaxRps = unlimited / 4 // several run at a time
	m.AllowWrites, m.Methods, m.GrpcMethods = true, []string{"GET", "POST"}, []string{exact.Method}
	return m
}

// withNoise says for how many pairs control is asked twice, in basis points.
func withNoise(m *crossfadev1.Mirror, share int32) *crossfadev1.Mirror {
	m.Noise = &crossfadev1.MirrorNoise{Share: proto.Int32(share)}
	return m
}

// start starts experiments and returns when the proxies have said that they copy. One of the same name that is just ending is waited for.
func (s *site) start(ctx context.Context, all ...*crossfadev1.Mirror) error {
	for _, m := range all {
		if err := await(ctx, "the end of "+m.GetName(), func(ctx context.Context) error {
			got, err := s.API.ListMirrors(ctx, &crossfadev1.ListMirrorsRequest{Service: m.GetService()})
			for _, other := range got.GetItems() {
				if other.GetState() != "ended" {
					err = fmt.Errorf("%s is %s", other.GetMirror(), other.GetState())
				}
			}
			return err
		}); err != nil {
			return err
		}
		if _, err := s.API.StartMirror(ctx, &crossfadev1.StartMirrorRequest{Mirror: m, Options: changeOptions(crossfadev1.Wait_WAIT_ACKED)}); err != nil {
			return fmt.Errorf("start of %s: %w", m.GetName(), err)
		}
	}
	return nil
}

// stop ends experiments.
func (s *site) stop(ctx context.Context, names ...string) error {
	for _, name := range names {
		if _, err := s.API.StopMirror(ctx, &crossfadev1.StopMirrorRequest{Name: name, Options: changeOptions(crossfadev1.Wait_WAIT_ACKED)}); err != nil {
			return fmt.Errorf("stop of %s: %w", name, err)
		}
	}
	return nil
}

// found is the report of an experiment.
func (s *site) found(ctx context.Context, name string) (*crossfadev1.MirrorReport, error) {
	got, err := s.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: name})
	return got.GetReport(), err
}

// awaitMirrored waits until more copies have come than before.
func (s *site) awaitMirrored(ctx context.Context, name string, before int64) error {
	return await(ctx, "copies of "+name, func(ctx context.Context) error {
		r, err := s.found(ctx, name)
		if err == nil && r.GetMirrored() <= before {
			err = fmt.Errorf("%d came; %d comparators; %s", r.GetMirrored(), r.GetComparators(), results(r))
		}
		return err
	})
}

// settled waits until every copy that proxies have sent since they had sent so many is accounted for, and returns the report then, and how many
// they were. Counts come each second; it gives up waiting once they have come again and again without a change.
func (s *site) settled(ctx context.Context, name string, before int64) (last *crossfadev1.MirrorReport, sent int64, err error) {
	const rounds = 5
	same := 0
	err = await(ctx, "the counts of "+name+" to settle", func(ctx context.Context) error {
		r, err := s.found(ctx, name)
		if err != nil || last != nil && proto.Equal(r.GetCounted(), last.GetCounted()) {
			return errors.Join(err, errors.New("no new counts"))
		}
		if last != nil && accounted(r) == accounted(last) {
			same++
		} else {
			same = 0
		}
		last = r
		if sent, err = s.copied(ctx); err != nil {
			return err
		}
		if sent -= before; same < 1 || accounted(r) != sent && same < rounds {
			return errors.New("the counts still change")
		}
		return nil
	})
	return last, sent, err
}

// fresh waits for counts that come after this moment.
func (s *site) fresh(ctx context.Context, name string) (r *crossfadev1.MirrorReport, err error) {
	now := time.Now()
	err = await(ctx, "new counts of "+name, func(ctx context.Context) error {
		if r, err = s.found(ctx, name); err == nil && !r.GetCounted().AsTime().After(now) {
			err = errors.New("none have come")
		}
		return err
	})
	return r, err
}

// copied is how many copies the proxies have sent to the comparator that they know now, by their own count.
func (s *site) copied(ctx context.Context) (n int64, err error) {
	for _, p := range s.Proxies {
		page, err := p.Get(ctx, "/clusters")
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(page) {
			if _, value, ok := strings.Cut(line, "::rq_total::"); ok && strings.HasPrefix(line, "@comparator::") {
				sent, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				if err != nil {
					return 0, err
				}
				n += sent
			}
		}
	}
	return n, nil
}

// accounted is the sum of everything that became of copies.
func accounted(r *crossfadev1.MirrorReport) int64 {
	n := r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed() + r.GetAnswered()
	for _, dropped := range r.GetDropped() {
		n += dropped
	}
	return n
}

// asked is how many copies were asked, or are being asked.
func asked(r *crossfadev1.MirrorReport) int64 {
	n := r.GetMirrored()
	for _, dropped := range r.GetDropped() {
		n -= dropped
	}
	return n
}

// results lists what became of copies.
func results(r *crossfadev1.MirrorReport) string {
	out := []string{fmt.Sprintf("mirrored %d", r.GetMirrored())}
	add := func(what string, n int64) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%s %d", what, n))
		}
	}
	add("compared", r.GetCompared())
	add("unrepresentative", r.GetUnrepresentative())
	add("target failed", r.GetTargetFailed())
	for _, cause := range slices.Sorted(maps.Keys(r.GetDropped())) {
		add("dropped "+cause, r.GetDropped()[cause])
	}
	add("lost", r.GetLost())
	return strings.Join(out, ", ")
}
