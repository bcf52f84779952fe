package shadow

import (
	"fmt"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Verdict is what a guard or a CI job is told.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "Pass"
	Fail         Verdict = "Fail"
	Inconclusive Verdict = "Inconclusive"
	Error        Verdict = "Error"
)

// Why is a reason of a verdict.
type Why struct {
	Code    string `json:"code"`    // for machines
	Message string `json:"message"` // what is so
	Next    string `json:"next,omitempty"`
}

// Policy is what a verdict asks for.
type Policy struct {
	// MinPairs is how many pairs must have been compared; 0 is [DefaultMinPairs].
	MinPairs uint64
	// Live is the mix of statuses of live traffic, by class; zero if it is not known.
	Live Live
	// Dark says that the candidate alone was asked: then there is nothing to judge.
	Dark bool
	// OneBody says that it is in order if control gives one body to nearly all paths.
	OneBody bool
	// Control and Candidate are the names of the origins.
	Control, Candidate string
}

// Limits of verdicts.
const (
	// DefaultMinPairs is enough to find a difference of 1 % with a probability of 99.9 % where there is no noise.
	DefaultMinPairs = 5000
	// FalseFindings is the probability of any false finding in an experiment, whatever the number of places and looks.
	FalseFindings = 1e-4
	maxUnfit      = 0.05 // share of pairs that are unrepresentative or failed, of those that were asked
	maxDeparture  = 0.10 // total variation between the statuses of control and of live traffic
	failedMost    = 0.50 // share of pairs to which control gave no answer, from which on the experiment itself is broken
	blindFrom     = 0.50 // share of pairs in which control differs from itself, from which on a place shows nothing else
	minJudged     = 20   // pairs before a share is judged
)

// threshold is the evidence that makes a finding: [stats.Threshold] of MaxPlaces and FalseFindings.
var threshold = stats.Threshold(MaxPlaces, FalseFindings)

// state says what a difference is taken for, and remembers a finding.
func (c *cell) state(s *stat) State {
	if c.must > 0 || c.evidence.Log() >= threshold {
		c.found = true
	}
	if c.found {
		return Finding
	}
	learned := c.evidence.Candidate + c.evidence.Control
	if s.twice < minLive && learned == 0 && c.asked < uninformative || c.evidence.Log() >= openEvidence {
		return Open // nothing is known of the noise, or it is on the way to a finding
	}
	low, _ := stats.Interval(c.count, s.compared, 0.99)
	if _, high := stats.Interval(c.noise, s.twice, 0.99); low > high {
		return Open
	}
	if low, _ := stats.Interval(c.noise, s.twice, 0.95); low >= blindFrom {
		return Blind
	}
	return Noise
}

// openEvidence is 20 to 1.
const openEvidence = 3

// judge sets the verdict. A finding is one, whatever else is not known; only if nothing is missing the verdict is Pass.
func (t *Tally) judge(r *Report, p Policy) {
	findings, open := 0, 0
	for _, d := range r.Differences {
		switch d.State {
		case Finding:
			findings++
		case Open:
			open++
		case Blind:
			r.Blind++
		}
	}
	asked := r.Compared + r.Unrepresentative + r.TargetFailed
	if p.Dark || r.Answered > 0 {
		r.Verdict = Inconclusive
		r.why("dark", "nothing is compared: the candidate alone is asked", "write mode: compare to compare its answers with control's")
		return
	}
	switch {
	case findings > 0:
		r.Verdict = Fail
		r.why("differences", plural(findings, "difference is", "differences are")+" beyond noise", "look at each: fix it, or say by a rule that it is meant")
		return
	case asked >= minJudged && float64(r.TargetFailed) > failedMost*float64(asked):
		r.Verdict = Error
		r.why("control_failed", fmt.Sprintf("control gave no answer to %d of %d requests", r.TargetFailed, asked), "see whether control is reachable through the proxy's experiment listener")
		return
	}
	t.doubt(r, p, asked, open)
	if r.Verdict = Pass; len(r.Why) > 0 {
		r.Verdict = Inconclusive
	}
	switch { // this is no doubt: of these places it is known that nothing is
	case r.Blind == 1:
		r.why("blind", "1 place differs from itself in most answers: nothing can be found there until a rule opens it", blindNext)
	case r.Blind > 1:
		r.why("blind", fmt.Sprintf("%d places differ from themselves in most answers: nothing can be found there until a rule opens them", r.Blind), blindNext)
	}
}

// blindNext is what to do about places that show nothing.
const blindNext = "say by a rule what varies there: the order of a set, or a pattern that both values have"

// plural is "1 difference is", "2 differences are".
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func (r *Report) why(code, message, next string) { r.Why = append(r.Why, Why{code, message, next}) }

// doubt lists why a report without findings is no all-clear.
func (t *Tally) doubt(r *Report, p Policy, asked uint64, open int) {
	const credentials = "keep a header by name (cookie, authorization), or give a test identity"
	least := p.MinPairs
	if least == 0 {
		least = DefaultMinPairs
	}
	if r.Compared < least {
		r.why("too_few", fmt.Sprintf("%d pairs were compared; %d are needed", r.Compared, least), "wait, or raise the share or maxRps")
	}
	if unfit := r.Unrepresentative + r.TargetFailed; float64(unfit) > maxUnfit*float64(asked) {
		r.why("unrepresentative", fmt.Sprintf("%d of %d answers say nothing of live traffic; at most %.0f %% may", unfit, asked, maxUnfit*100), nextFor(r, credentials))
	}
	if r.Reasons[ReasonOneBody] > 0 {
		r.why("one_body", "control gives the same body to nearly all paths", "look at it: an error, or a page to log in? "+credentials)
	}
	for _, e := range sortedKeys(t.endpoints) {
		if s := t.endpoints[e]; s.credentials > 0 && (s.compared == 0 || float64(s.credentials) > maxUnfit*float64(s.compared+s.unrepresentative)) {
			r.why("endpoint_unauthorized", fmt.Sprintf("%s: %d of %d requests were refused for want of credentials", e, s.credentials, s.compared+s.unrepresentative), credentials)
			break
		}
	}
	if p.Live.total() < minLive {
		r.why("live_unknown", "it is not known which statuses live traffic gets", "see that proxies report (`shadowctl get services` shows figures), or wait for live traffic: without it nothing says that these answers are what users get")
	}
	if d := t.departure(p.Live); d > maxDeparture {
		r.why("status_mix", fmt.Sprintf("control's statuses (2xx, 3xx, 4xx, 5xx) are not those of live traffic: %.0f %% of them would have to change class", d*100), "mirror the same methods and paths as are counted live, and "+credentials)
	}
	if open > 0 {
		r.why("open", plural(open, "difference is", "differences are")+" more than noise would explain, but not proven", "wait, or raise noise.share")
	}
	if t.crowded > 0 {
		r.why("crowded", fmt.Sprintf("%d differences were not counted: there are more than %d places", t.crowded, MaxPlaces), "ignore what is known to differ, or give templates of endpoints")
	}
}

// nextFor says what to do about the most frequent reason.
func nextFor(r *Report, credentials string) string {
	most := Reason("")
	for _, k := range sortedKeys(r.Reasons) {
		if r.Reasons[k] > r.Reasons[most] {
			most = k
		}
	}
	switch most {
	case ReasonUnauthorized, ReasonLogin, ReasonNotLive, ReasonOneBody:
		return credentials
	case ReasonThrottled:
		return "lower maxRps, or let the test identity through the limit"
	case ReasonNotModified:
		return "leave out the headers If-None-Match and If-Modified-Since"
	}
	return "see whether control is healthy"
}

// departure is the total variation distance between the classes of statuses of control and of live traffic; 0 if either is not known.
func (t *Tally) departure(live Live) float64 {
	var got Live
	for s, k := range t.statuses {
		got[statusClass(s)] += k
	}
	n, m := got.total(), live.total()
	if n < minLive || m < minLive {
		return 0
	}
	distance := 0.0
	for class, k := range got {
		if d := float64(k)/float64(n) - float64(live[class])/float64(m); d > 0 {
			distance += d
		}
	}
	return distance
}

// detectable is the rate at which n pairs have as many differences as a finding needs, with a probability of 99.9 %.
func detectable(n uint64) float64 {
	need := stats.EventsNeeded(threshold)
	if n < need {
		return 1
	}
	low, high := 0.0, 1.0
	for range 30 {
		mid := (low + high) / 2
		if stats.BinomialTail(need, n, mid) < 0.999 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
