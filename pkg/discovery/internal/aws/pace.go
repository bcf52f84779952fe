package aws

import (
	"context"
	"time"
)

// How far a source slows down while it fails: where AWS said that we ask too often, and otherwise.
const (
	maxThrottledPause = time.Minute
	maxFailingPause   = 20 * time.Second
)

// Outcome is how a look at AWS went, as far as the next one depends on it.
type Outcome int

// The outcomes.
const (
	Answered     Outcome = iota // AWS said what there is, be it that something is missing or may not be used
	Failed                      // it did not answer, or with an error of its own
	WasThrottled                // it said that we ask too often
)

// Pace decides how long to wait between two looks at AWS: about the interval, and after each failure twice as long as before, up to 20 s,
// or a minute where AWS said that we ask too often. It is pure.
type Pace struct {
	// Every is the interval.
	Every time.Duration
	// Random gives numbers in [0, 1); looks of many targets at one AWS are spread by it.
	Random func() float64

	failures int
}

// First is how long to wait before the first look: up to a tenth of the interval, so that many targets do not begin at once.
func (p *Pace) First() time.Duration {
	return time.Duration(p.Random() * float64(p.Every) / 10)
}

// Next is how long to wait after a look that went so.
func (p *Pace) Next(o Outcome) time.Duration {
	pause := p.Every
	if o == Answered {
		p.failures = 0
		return p.jitter(pause)
	}
	limit := maxFailingPause
	if o == WasThrottled {
		limit = maxThrottledPause
	}
	p.failures = min(p.failures+1, 16)
	for range p.failures {
		if pause >= limit {
			break
		}
		pause = min(2*pause, limit)
	}
	return p.jitter(pause)
}

// jitter makes a pause up to a tenth shorter or longer.
func (p *Pace) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + p.Random()/5))
}

// Poll looks at once (but for a pause of [Pace.First]) and then at the pace, until ctx ends.
func Poll(ctx context.Context, p *Pace, look func(context.Context) Outcome) {
	timer := time.NewTimer(p.First())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		outcome := look(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(p.Next(outcome))
	}
}
