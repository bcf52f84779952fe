package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
)

// Shares of a machine's cores: beyond the one a control plane leaves too little for its proxies, beyond the other nothing is left.
const (
	tooBusy = 0.75
	allBusy = 0.9
)

// bySize finds at which size the interval can no longer be kept, and what each further proxy costs up to there.
func (b *bench) bySize(ctx context.Context) error {
	s, err := b.site(ctx, b.sizes[0])
	if err != nil {
		return err
	}
	defer s.close()
	var good windows
	why := ""
	for _, n := range b.sizes {
		var w *window
		if why = roomFor(n, good, usage.Free()); why == "" {
			w, err = s.sized(ctx, n, len(good) == 0)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				why = err.Error()
			} else {
				b.lines("sizes", windows{w}, versus{})
				why = w.tooLarge(float64(runtime.NumCPU()))
			}
		}
		if why != "" {
			why = fmt.Sprintf("%d were too many: %s", n, why)
			break
		}
		good = append(good, w)
	}
	b.sizeLines(good, why)
	return b.exactly(ctx, s, "sizes")
}

// sized measures with so many proxies; the first time, rollouts begin.
func (s *site) sized(ctx context.Context, proxies int, first bool) (*window, error) {
	if err := s.grow(ctx, proxies); err != nil {
		return nil, err
	}
	if err := s.flush(ctx, s.b.interval); err != nil {
		return nil, err
	}
	if first {
		if err := s.roll(ctx, s.b.rollouts); err != nil {
			return nil, err
		}
	}
	var ws windows
	if err := s.settled(ctx, &ws); err != nil {
		return nil, err
	}
	return ws[0], nil
}

// tooLarge says why a fleet was too large for this machine of so many cores; empty if it was not.
func (w *window) tooLarge(cores float64) string {
	used := fmt.Sprintf("of %g cores the control plane had %.2f and the simulator %.2f", cores, w.server, w.fleet)
	switch why := w.spoilt(); {
	case w.server > tooBusy*cores:
		return fmt.Sprintf("the control plane was too busy: %s, and more than %.2f is too much for it", used, tooBusy*cores)
	case why == "":
		return ""
	case w.server+w.fleet > allBusy*cores:
		return fmt.Sprintf("the machine was too small for both: %s; %s", used, why)
	default:
		return fmt.Sprintf("%s, though %s", why, used)
	}
}

// roomFor says that the machine has no memory for so many proxies, by what each needed at the last size and what is free, in bytes; empty if it has, or if
// that is not known.
func roomFor(proxies int, good windows, free float64) string {
	if len(good) == 0 || free == 0 {
		return ""
	}
	last := good[len(good)-1]
	need := float64(proxies-last.proxies) * (last.memory + last.fleets) / float64(last.proxies)
	if need < free {
		return ""
	}
	return fmt.Sprintf("too little memory: control plane and simulator would need %s more, and %s are free", report.Amount(need, "bytes"), report.Amount(free, "bytes"))
}

// sizeLines reports which of the sizes that were good is the largest, why there is no larger one, and what each further proxy costs: the slopes of straight
// lines through them.
func (b *bench) sizeLines(good windows, why string) {
	what := func() map[string]any {
		return map[string]any{"services": b.services, "rollouts": b.rollouts, "interval_s": b.interval.Seconds(), "rate": b.rate}
	}
	largest := 0
	if len(good) > 0 {
		largest = good[len(good)-1].proxies
	}
	switch {
	case why == "":
		why = fmt.Sprintf("no size was too large up to %d, the largest that was tried", largest)
	case largest > 0:
		why += fmt.Sprintf("; %d were the last that were not", largest)
	}
	l := b.amount("sizes", what(), "largest_fleet", "proxies", float64(largest))
	l.Note = fmt.Sprintf("%s; the simulator was on the same %d cores", why, runtime.NumCPU())
	b.r.Add(l)
	fmt.Printf("sizes: %d proxies are possible; %s\n", largest, why)
	if len(good) < 2 {
		return
	}
	of := func(figure func(*window) float64) (each, none float64) {
		var x, y []float64
		for _, w := range good {
			x, y = append(x, float64(w.proxies)), append(y, figure(w))
		}
		return report.StraightLine(x, y)
	}
	note := func(l *report.Line, none float64, unit string) {
		l.Note = fmt.Sprintf("the slope of a straight line through %d sizes from %d to %d proxies (least squares); without any proxy it has %s",
			len(good), good[0].proxies, largest, report.Amount(none, unit))
		b.r.Add(l)
	}
	cpu, idle := of(func(w *window) float64 { return w.server })
	note(b.amount("sizes", what(), "cpu_of_control_plane_each_proxy", "cores", cpu), idle, "cores")
	memory, empty := of(func(w *window) float64 { return w.memory })
	note(b.amount("sizes", what(), "memory_of_control_plane_each_proxy", "bytes", memory), empty, "bytes")
	if cpu > 0 {
		note(b.amount("sizes", what(), "proxies_per_core", "proxies", 1/cpu), idle, "cores")
		fmt.Printf("sizes: a core of the control plane is enough for each %.0f proxies\n", 1/cpu)
	}
}
