package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

const peer = "decode and walk"

// document makes JSON of about a size, as an API of orders would answer it. Every 25th price, and the total, differ by variant.
func document(size, variant int) []byte {
	var b strings.Builder
	b.WriteString(`{"page":1,"next":null,"items":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		price := float64(i) + 0.25
		if i%25 == 3 {
			price += float64(variant)
		}
		fmt.Fprintf(&b, `{"id":"ord-%06d","customer":{"name":"Müller & Söhne","vip":%v},"price":%g,"currency":"EUR","tags":["new","gift"],"shipped":null,"lines":[{"sku":"A-%d","qty":%d},{"sku":"B-%d","qty":1}]}`, i, i%3 == 0, price, i, i%7, i)
	}
	fmt.Fprintf(&b, `],"total":%d}`, 17+variant)
	return []byte(b.String())
}

// pairOf is a pair of documents of a size.
func pairOf(size int, equal bool) *shadow.Pair {
	answer := func(variant int) *shadow.Answer {
		body := document(size, variant)
		return &shadow.Answer{Status: 200, Headers: map[string][]string{"Content-Type": {"application/json"}}, Body: body, Length: int64(len(body)), Duration: time.Millisecond}
	}
	variant := 1
	if equal {
		variant = 0
	}
	return &shadow.Pair{Method: "GET", Path: "/orders/17", Control: answer(0), Candidate: answer(variant)}
}

// cost measures what a pair costs.
func cost(ctx context.Context, o *options, r *report.Run) error {
	for _, size := range []int{2 << 10, 64 << 10} {
		for _, equal := range []bool{false, true} {
			p := pairOf(size, equal)
			ours, err := judging(p)
			if err != nil {
				return err
			}
			if err := same(p); err != nil {
				return err
			}
			m, err := alternate(ctx, o, ours, func() { naive(p.Control.Body, p.Candidate.Body) })
			if err != nil {
				return err
			}
			m.lines(r, fmt.Sprintf("%d kB JSON", size>>10), equal)
		}
	}
	return nil
}

// judging is how the comparator compares a pair, again and again.
func judging(p *shadow.Pair) (func(), error) {
	c, errs := shadow.NewComparer(shadow.Options{Key: key})
	if err := errs.Err(); err != nil {
		return nil, err
	}
	var out *shadow.Outcome
	return func() { out = c.Judge(p, shadow.Live{}, out) }, nil
}

// same checks that both ways find the same places: otherwise there is nothing to compare.
func same(p *shadow.Pair) error {
	c, errs := shadow.NewComparer(shadow.Options{Key: key})
	if err := errs.Err(); err != nil {
		return err
	}
	var ours []string
	for _, d := range c.Judge(p, shadow.Live{}, nil).Differences {
		ours = append(ours, d.Path)
	}
	theirs := naive(p.Control.Body, p.Candidate.Body)
	slices.Sort(ours)
	slices.Sort(theirs)
	if theirs = slices.Compact(theirs); !slices.Equal(ours, theirs) {
		return fmt.Errorf("one way finds %v, the other %v", ours, theirs)
	}
	return nil
}

// measured is what the runs of both gave: a sample of each run.
type measured struct{ cpu, pairs, allocations [2]report.Series }

// alternate runs both ways in turn, and which is first changes.
func alternate(ctx context.Context, o *options, ours, theirs func()) (*measured, error) {
	m := &measured{}
	ways := [2]func(){ours, theirs}
	for i := range o.runs {
		for j := range ways {
			way := (i + j) % 2
			cpu, pairs, allocations, err := once(ctx, ways[way], o.run)
			if err != nil {
				return nil, err
			}
			m.cpu[way] = append(m.cpu[way], []float64{cpu / pairs})
			m.pairs[way] = append(m.pairs[way], []float64{pairs / cpu})
			m.allocations[way] = append(m.allocations[way], []float64{allocations / pairs})
		}
	}
	return m, nil
}

// patience is how many times as long as its CPU time a run may take, on a machine that has other things to do.
const patience = 100

// once compares pairs until so much CPU time is used, which is returned in seconds.
func once(ctx context.Context, compare func(), d time.Duration) (cpu, pairs, allocations float64, err error) {
	compare() // its memory grows to what it needs
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, began := usage.CPU(os.Getpid()), time.Now()
	for cpu < d.Seconds() {
		for start := time.Now(); time.Since(start) < d/20; pairs++ {
			compare()
		}
		cpu = usage.CPU(os.Getpid()) - used
		switch {
		case ctx.Err() != nil:
			return 0, 0, 0, ctx.Err()
		case time.Since(began) > patience*d:
			return 0, 0, 0, fmt.Errorf("%s of CPU time took more than %s: is this Linux, and has it nothing else to do?", d, patience*d)
		}
	}
	runtime.ReadMemStats(&after)
	return cpu, pairs, float64(after.Mallocs - before.Mallocs), nil
}

// lines reports what pairs of a body cost. Equal ones have no aim: ours are two hashes, and the peer's a comparison of bytes, which allocates nothing that a
// ratio could be to.
func (m *measured) lines(r *report.Run, body string, equal bool) {
	c := map[string]any{"body": body, "equal": equal}
	for _, f := range []struct {
		metric, unit string
		of           [2]report.Series
		aim          float64
	}{{"cpu of a pair", "s", m.cpu, 0.5}, {"pairs per second and core", "pairs", m.pairs, 0}, {"allocations of a pair", "allocations", m.allocations, 0}} {
		ours := report.NewLine(system, f.metric, f.unit, c, f.of[0])
		if !equal || f.unit != "allocations" {
			ours.Compare(peer, report.ByMean, f.of[0], f.of[1])
		}
		if f.aim > 0 && !equal {
			ours.AimRatio(f.aim)
		}
		r.Add(ours)
		r.Add(report.NewLine(peer, f.metric, f.unit, c, f.of[1]))
	}
}
