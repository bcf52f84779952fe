// Package stats decides what is beyond noise, by exact tests on counts: counts of many comparators can be added and are judged once.
//
// Sources of the methods: the sign test and McNemar's test for paired answers (Q. McNemar, 1947); evidence that may be looked at whenever one
// likes is a mixture of likelihood ratios, which is a martingale if there is no difference, so that it reaches 1/a with probability a at
// most (J. Ville, 1939; A. Wald, 1945; H. Robbins, 1970; as "e-values": P. Grünwald, R. de Heide, W. Koolen, 2019); Bonferroni for many
// places; intervals by C. Clopper and E. Pearson, 1934; latencies by H. Mann and D. Whitney, 1947, with the correction for ties, and the effect
// size of A. Vargha and H. Delaney, 2000.
package stats

import "math"

// Evidence is what is known of the question whether two origins differ at one place, from requests to which the control gave two answers
// and the candidate one. Where all three agree or all three differ, nothing is learnt. Where two agree and one is odd, that is the
// candidate's or one of the control's. If the candidate is no different, each is as likely.
type Evidence struct {
	Candidate uint64 // how often the candidate's was the odd answer
	Control   uint64 // how often one of the control's was
}

// alternatives are the shares of candidates among odd answers that [Evidence.Log] weighs against one half: from a difference that drowns
// in noise, to one without any.
var alternatives = [...]float64{0.51, 0.52, 0.535, 0.56, 0.6, 0.67, 0.77, 0.87, 0.95, 0.995}

// Log is the natural logarithm of the evidence for a difference: 0 is none, below speaks for noise. Whatever the number of looks, and
// whichever request is chosen to be asked again by what was known before: without a difference it ever reaches log(1/a) with probability
// a at most.
func (e Evidence) Log() float64 {
	n, m := float64(e.Candidate), float64(e.Control)
	var terms [len(alternatives)]float64
	most := math.Inf(-1)
	for i, share := range alternatives {
		terms[i] = n*math.Log(2*share) + m*math.Log(2-2*share)
		most = max(most, terms[i])
	}
	sum := 0.0
	for _, t := range terms {
		sum += math.Exp(t - most)
	}
	return most + math.Log(sum/float64(len(alternatives)))
}

// Threshold is which evidence is enough so that of all places together, in one experiment, a false finding has at most this probability.
func Threshold(places int, probability float64) float64 {
	return math.Log(float64(max(places, 1)) / probability)
}

// EventsNeeded is how many odd answers, all of the candidate, are enough for a threshold.
func EventsNeeded(threshold float64) uint64 {
	n := uint64(1)
	for (Evidence{Candidate: n}).Log() < threshold {
		n++
	}
	return n
}

// DiffyRule is what Diffy reports, by its description: fields that differ more often between primary and candidate than between primary
// and secondary, by more than a share of both together (relative, usually 20 %), and of all requests (absolute, usually 0.03 %). Every
// request is sent three times.
func DiffyRule(raw, noise, total uint64, relative, absolute float64) bool {
	if raw <= noise || total == 0 {
		return false
	}
	d := float64(raw - noise)
	return d/float64(raw+noise) > relative && d/float64(total) > absolute
}

// The thresholds that Diffy has by default.
const (
	DiffyRelative = 0.20
	DiffyAbsolute = 0.0003
)
