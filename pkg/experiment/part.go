package experiment

import (
	"math"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// part is what is known of one instance in one run.
type part struct {
	instance, address string

	// What it counted, as of its last message.
	sequence int64
	heard    time.Time // when that came
	tally    *shadow.Tally
	raw      []byte // the same, as it came
	seen     []*crossfadev1.MirrorPath
	signals  signals
	marks    [2]mark // earlier ones, for rates
	arrivals arrivals
	untaken  bool // its last word could not be taken

	// What it may do.
	connected bool
	held      float64   // copies per second, the most of any order that it may follow
	until     time.Time // it went without a word, and may follow its last order until then
	lost      int64     // copies that are not counted if it does not come back
}

// signals are what stops a run, and what is said beside the tally.
type signals struct {
	inFlight, errors, refusals   int64
	askedControl, askedCandidate int64
	p99                          float64 // in milliseconds
}

// arrivals are the copies that came to an instance, whatever became of them.
type arrivals struct {
	received int64     // by its last word
	tallied  int64     // of them, those in its tally
	at       time.Time // when the rate was looked at last
	then     int64     // received by then
	rate     float64   // per second, before that
}

// rateEvery is how long copies are counted at least to say how fast they come.
const rateEvery = 500 * time.Millisecond

// count takes over how many copies have come by now. Those in flight are in no tally.
func (a *arrivals) count(c *crossfadev1.RunCounts, now time.Time) {
	a.received = c.GetReceived()
	if len(c.GetTally()) > 0 {
		a.tallied = a.received - c.GetInFlight()
	}
	if took := now.Sub(a.at); a.at.IsZero() {
		a.at, a.then = now, a.received
	} else if took >= rateEvery {
		a.at, a.then, a.rate = now, a.received, max(0, float64(a.received-a.then)/took.Seconds())
	}
}

// mark is how much an instance had asked at a time of this process.
type mark struct {
	at                 time.Time
	control, candidate int64
}

// rateWindow is over how long rates are taken, at most.
const rateWindow = 3 * time.Second

// window is how old signals over the last 10 s may be.
const window = 10 * time.Second

// asks says that it may be asking: it is connected, or its lease has not run out.
func (p *part) asks(now time.Time) bool { return p.connected || now.Before(p.until) }

// recent says that its signals are of now.
func (p *part) recent(now time.Time) bool { return !p.heard.IsZero() && now.Sub(p.heard) <= window }

// leave notes that it is gone. Without a goodbye, it may have counted what it did not tell, and may follow its orders until the lease ends.
func (p *part) leave(now time.Time, lease time.Duration, goodbye bool) {
	p.connected = false
	if goodbye {
		p.held, p.until, p.lost = 0, time.Time{}, 0
		return
	}
	p.until = now.Add(lease)
	p.lost = p.missing(now)
}

// missing is how many copies it may have taken at most that are not in its tally, if it ended at a time: those that it told of, and those since
// its last word, which came no more than twice as fast as before, or as fast as it may ask.
func (p *part) missing(end time.Time) int64 {
	silent := time.Duration(0)
	if !p.heard.IsZero() {
		silent = max(0, end.Sub(p.heard))
	}
	told := max(0, p.signals.inFlight, p.arrivals.received-p.arrivals.tallied)
	return int64(min(maxCount, float64(told)+math.Ceil(max(p.held, 2*p.arrivals.rate)*silent.Seconds())))
}

// empty says that nothing is known of it.
func (p *part) empty() bool {
	return p.tally == nil && len(p.seen) == 0 && p.signals == (signals{}) && p.arrivals.received == 0 && p.lost == 0 && p.until.IsZero() && !p.untaken
}

// expire forgets the last order of an instance that can no longer follow it.
func (p *part) expire(now time.Time) {
	if !p.connected && !p.until.IsZero() && !now.Before(p.until) {
		p.held, p.until = 0, time.Time{}
	}
}

// count takes over a later message.
func (p *part) count(sequence int64, c *crossfadev1.RunCounts, t *shadow.Tally, now time.Time) {
	p.sequence, p.heard, p.untaken = sequence, now, false
	p.arrivals.count(c, now)
	if t != nil {
		p.tally, p.raw = t, c.GetTally()
	}
	if len(c.GetSeen()) > 0 {
		p.seen = c.GetSeen()
	}
	p.signals = signals{
		inFlight: c.GetInFlight(), errors: c.GetCandidateErrors(), refusals: c.GetControlRefusals(), p99: c.GetCandidateP99Ms(),
		askedControl: c.GetAskedControl(), askedCandidate: c.GetAskedCandidate(),
	}
	if m := (mark{now, c.GetAskedControl(), c.GetAskedCandidate()}); p.marks[1].at.IsZero() {
		p.marks = [2]mark{m, m}
	} else if now.Sub(p.marks[1].at) >= rateWindow/2 {
		p.marks = [2]mark{p.marks[1], m}
	}
}

// rates are how many requests per second it sends to control and to the candidate now.
func (p *part) rates(now time.Time) (control, candidate float64) {
	m := p.marks[0]
	took := p.heard.Sub(m.at).Seconds()
	if m.at.IsZero() || took <= 0 || !p.recent(now) {
		return 0, 0
	}
	return max(0, float64(p.signals.askedControl-m.control)/took), max(0, float64(p.signals.askedCandidate-m.candidate)/took)
}

// past is what is known of instances that are gone, put together.
type past struct {
	tally     *shadow.Tally
	seen      []*crossfadev1.MirrorPath
	signals   signals // those that only grow
	lost      int64
	untaken   bool // the last word of one could not be taken
	instances map[string]bool
}

// Bounds of what is kept of instances that are gone.
const (
	maxGone      = 64
	maxGoneBytes = 16 << 20 // of their tallies
	maxFolded    = 4096     // whose names are remembered, so that none of them is counted twice
)

// fold puts those together that are gone for longest, if there are many.
func (r *run) fold() error {
	var gone []*part
	size := 0
	for _, p := range r.sorted() {
		if !p.connected {
			gone = append(gone, p)
			size += len(p.raw)
		}
	}
	slices.SortStableFunc(gone, func(a, b *part) int { return a.heard.Compare(b.heard) })
	for ; len(gone) > maxGone || size > maxGoneBytes; gone = gone[1:] {
		size -= len(gone[0].raw)
		if err := r.foldOne(gone[0]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) foldOne(p *part) error {
	delete(r.parts, p.instance)
	if p.tally != nil {
		sum, errs := shadow.NewTally(r.options)
		if errs.Err() != nil {
			return errs
		}
		for _, t := range []*shadow.Tally{r.past.tally, p.tally} {
			if t == nil {
				continue
			}
			if err := sum.Merge(t); err != nil {
				return err
			}
		}
		r.past.tally = sum
	}
	r.past.seen = mergeSeen(r.past.seen, p.seen)
	r.past.signals.errors += p.signals.errors
	r.past.signals.askedControl += p.signals.askedControl
	r.past.signals.askedCandidate += p.signals.askedCandidate
	r.past.lost = min(maxCount, r.past.lost+p.lost)
	r.past.untaken = r.past.untaken || p.untaken
	if r.past.instances == nil {
		r.past.instances = map[string]bool{}
	}
	if len(r.past.instances) < maxFolded {
		r.past.instances[p.instance] = true
	}
	return nil
}
