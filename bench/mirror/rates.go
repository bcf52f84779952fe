package main

import (
	"fmt"
	"math"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

const (
	// enoughRate is the least share of a rate that has to be sent: what was not sent cannot have been late.
	enoughRate = 0.97
	// enoughCopies is the least share of the expected copies that has to come to its end: on a busy machine comparators drop up to a twentieth, as late.
	enoughCopies = 0.9
)

// copying is how many requests were made while a share of them should have been copied, and how many copies were.
type copying struct{ requests, copies int64 }

// least is how many copies there must be. Proxies draw which requests they copy, so three standard deviations may be missing by chance.
func (c copying) least(share int32) float64 {
	p := float64(share) / whole
	mean := p * float64(c.requests)
	return max(1, enoughCopies*mean-3*math.Sqrt(mean*(1-p)))
}

// tooFew says that copies were missing in a run, or in all of them together; empty if they were not. A mirror that stops harms nobody, and says nothing.
func tooFew(share int32, runs ...copying) string {
	var all copying
	short := 0
	for _, r := range runs {
		all.requests, all.copies = all.requests+r.requests, all.copies+r.copies
		if float64(r.copies) < r.least(share) {
			short++
		}
	}
	if short == 0 && float64(all.copies) >= all.least(share) {
		return ""
	}
	return fmt.Sprintf("%d copies of %d requests, of which %g %% should be copied; too few in %d of %d runs", all.copies, all.requests, float64(share)/100, short, len(runs))
}

// tooSlow says that loads did not reach their rates; empty if they did.
func tooSlow(loads ...sum) string {
	short, worst := 0, sum{}
	for _, s := range loads {
		if s.achieved >= enoughRate*s.offered {
			continue
		}
		if short++; short == 1 || s.achieved/s.offered < worst.achieved/worst.offered {
			worst = s
		}
	}
	if short == 0 {
		return ""
	}
	return fmt.Sprintf("the rate was not reached in %d of %d runs, in the worst %.0f of %.0f requests/s", short, len(loads), worst.achieved, worst.offered)
}

// tooBusy says that the machine was busier than most, 0 to 1, in the mean of runs; empty if it was not.
func tooBusy(shares []float64, most float64) string {
	if mean := report.Mean(shares); mean > most {
		return fmt.Sprintf("the machine was busy %.0f %% of the time, more than %.0f %%", mean*100, most*100)
	}
	return ""
}

// invalidate notes reasons for which a line says nothing. Those that are empty are none.
func invalidate(l *report.Line, reasons ...string) *report.Line {
	for _, why := range reasons {
		if why != "" {
			l.Invalidate("%s", why)
		}
	}
	return l
}
