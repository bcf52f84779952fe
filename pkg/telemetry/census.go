package telemetry

import "time"

// census is how many proxies of a fleet report, counted now and then: many watches ask, several times a second each.
type census struct {
	at                time.Time // zero: to be counted anew
	reporting, silent int
}

// censusHolds is for how long a count holds, if no proxy comes or goes.
const censusHolds = 100 * time.Millisecond

// count returns how many proxies report, and how many are connected and do not. f.mu is held.
func (f *fleet) count(now time.Time) (reporting, silent int) {
	if age := now.Sub(f.census.at); f.census.at.IsZero() || age < 0 || age >= censusHolds {
		f.census = census{at: now}
		for _, p := range f.proxies {
			switch {
			case p.reports(now):
				f.census.reporting++
			case p.streams > 0:
				f.census.silent++
			}
		}
	}
	return f.census.reporting, f.census.silent
}

// recount makes the next count a new one. f.mu is held.
func (f *fleet) recount() { f.census.at = time.Time{} }
