package guard

import "math"

// peaks remembers how far evidence went where nothing came of it: at the control, and at the candidate when it went back. Since evidence rises by
// [allowance] a second at most, peaks measure how long bursts last that are over by themselves.
type peaks struct {
	Now    float64 `json:"now"`    // the candidate's highest since it was last calm
	Before float64 `json:"before"` // the highest that is over, fading
}

const (
	calm      = 0.2         // parts of what a Fail needs, below which a burst is over
	beyondAll = 2.5         // times the highest peak are needed
	mostAll   = 3           // times as much as without any, at most
	fades     = 4 * 60 * 60 // seconds until half of it is forgotten
)

// candidate takes note of the candidate's evidence.
func (p *peaks) candidate(part float64) {
	if p.Now = max(p.Now, part); part < calm {
		p.Before = max(p.Before, min(p.Now, mostAll))
		p.Now = 0
	}
}

// control takes note of the control's, whether it is over or not.
func (p *peaks) control(part, seconds float64) {
	p.Before = max(p.Before*math.Exp2(-seconds/fades), min(part, mostAll))
}

// needed is how much more than the budget asks for is needed.
func (p *peaks) needed() float64 { return min(max(beyondAll*p.Before, 1), mostAll) }
