package shadow

import (
	"fmt"
	"time"
)

// Outcome is what one pair shows. It holds the path, so it prints as nothing; it goes to a [Tally] and is then forgotten.
type Outcome struct {
	Class  Class
	Reason Reason
	// Differences between control and candidate. They count only if the pair was compared.
	Differences []Difference

	path    string
	sampled bool         // control was asked twice by chance
	noise   []Difference // between both answers of control
	odd     []Difference // between the second answer of control and the candidate
	fit     bool         // control and candidate can be compared, whichever is which
	asked   bool         // control was asked twice because there was a difference
	fair    bool         // the two answers of control would have been compared
	status  int          // of control; 0 if it failed
	whose   uint64       // hash of the path with its query
	body    uint64       // hash of control's body; 0 if there is none
	took    [2]time.Duration
	answers bool // both answered
	overCap bool
}

// Format prints nothing of the content.
func (Outcome) Format(s fmt.State, _ rune) { fmt.Fprint(s, "outcome") }

// MarshalJSON writes nothing of the content.
func (Outcome) MarshalJSON() ([]byte, error) { return []byte(`"outcome"`), nil }

// Judge says what became of a pair and what differs. Live is the mix of statuses of live traffic, or zero. The outcome shares memory with the
// last one that was given back to it in reuse, which may be nil.
func (c *Comparer) Judge(p *Pair, live Live, reuse *Outcome) *Outcome {
	o := reuse
	if o == nil {
		o = &Outcome{}
	}
	*o = Outcome{path: p.Path, Differences: o.Differences[:0], noise: o.noise[:0], odd: o.odd[:0]}
	o.Class, o.Reason = classify(p.Control, p.Candidate, live)
	if p.Control.Failure == "" {
		o.status = p.Control.Status
	}
	o.overCap = p.Control.OverCap || p.Candidate.OverCap
	o.answers = p.Control.Failure == "" && p.Candidate.Failure == ""
	o.took = [2]time.Duration{p.Control.Duration, p.Candidate.Duration}
	o.whose = c.hashes.of(usePath, []byte(p.Path))
	if o.Class == Compared && p.Method != "HEAD" && p.Method != "OPTIONS" && len(p.Control.Body) > 0 {
		o.body = max(c.hashes.of(useBody, p.Control.Body), 1)
	}
	o.fit = unfit(p.Control, p.Candidate) == ""
	if !throttled(p.Control) && !throttled(p.Candidate) {
		o.Differences = c.compare(o.Differences, p, p.Control, p.Candidate)
		if p.Second != nil && !throttled(p.Second) {
			c.judgeSecond(o, p, live)
		}
	}
	return o
}

// judgeSecond compares the second answer of control with the other two.
func (c *Comparer) judgeSecond(o *Outcome, p *Pair, live Live) {
	class, _ := classify(p.Control, p.Second, live)
	o.fair = class == Compared
	o.sampled, o.asked = p.Chosen == ByChance, p.Chosen == ByDifference
	o.noise = c.compare(o.noise, p, p.Control, p.Second)
	if o.asked {
		o.odd = c.compare(o.odd, p, p.Second, p.Candidate)
	}
}

// Differs says whether control and candidate differ, so that it may be worth asking control again, see [Tally.Wants].
func (o *Outcome) Differs() bool { return len(o.Differences) > 0 }
