package main

import (
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// enoughOdd is how many odd answers, all of the candidate, make a finding: docs/design/comparison.md has the sum.
const enoughOdd = 29

// explainDifference says what is behind a difference, and which rule would say that it is meant.
func (a *app) explainDifference(r *crossfadev1.MirrorReport, d numbered) error {
	rule, hint := ruleFor(r, d.MirrorDifference)
	test := testWordsOf(r, d.MirrorDifference)
	tree := manifest.Map()
	manifest.Put(tree, "mirror", manifest.Str(r.GetMirror()))
	manifest.Put(tree, "number", manifest.Int(d.number))
	manifest.Put(tree, "difference", manifest.Answer(d.MirrorDifference))
	manifest.Put(tree, "test", manifest.Str(test))
	if rule != nil {
		manifest.Put(tree, "rule", manifest.Node(rule))
	}
	manifest.Put(tree, "hint", manifest.Str(hint))
	return a.show(tree, func() {
		a.sayDiff(r, d)
		a.say("")
		a.paragraph("test", faint, test)
		a.paragraph("meant?", faint, hint)
		if rule != nil {
			a.sayRuleText(rule)
		}
	})
}

func (a *app) sayRuleText(rule *crossfadev1.MirrorRule) {
	n := manifest.Node(rule)
	n.Style = yaml.FlowStyle
	list := manifest.List(n)
	out, err := manifest.Text(list)
	if err != nil { // of a tree of texts there is none
		return
	}
	a.say("%srules:", strings.Repeat(" ", 13))
	for line := range strings.Lines(string(out)) {
		a.say("%s%s", strings.Repeat(" ", 13), strings.TrimRight(line, "\n"))
	}
}

// testWordsOf is the sign test in words.
func testWordsOf(r *crossfadev1.MirrorReport, d *crossfadev1.MirrorDifference) string {
	control, candidate := r.GetControl(), r.GetCandidate()
	words := fmt.Sprintf("Where %s was asked twice (by chance, and again where the answers differ), there are three answers to one request. If two agree, the third is the odd one: "+
		"that of %s %s, one of %s %s. If %s were no different, it would be the odd one as often as an answer of %s, whatever the noise. ",
		control, candidate, times(d.GetOddCandidate()), control, times(d.GetOddControl()), candidate, control)
	switch d.GetState() {
	case diffFinding:
		if d.GetOddCandidate() < enoughOdd {
			return words + "It is a finding because a rule says mustEqual, where one difference is enough."
		}
		return words + fmt.Sprintf("That it comes out like this by chance at any of thousands of places happens in less than one of 10,000 experiments (%d to 0 is enough): a finding.", enoughOdd)
	case diffOpen:
		words += fmt.Sprintf("That is more than noise explains, and not enough for a finding, which takes %d to 0 or as much.", enoughOdd)
		if more := pairsLeft(d); more > 0 {
			words += fmt.Sprintf(" If it goes on like this, about %s more pairs of this endpoint decide it.", whole(more))
		}
		return words
	case diffBlind:
		return words + fmt.Sprintf("%s differs from itself there in %s of %s pairs. Where all three answers differ none is the odd one, so whatever else is wrong there cannot be seen, "+
			"until a rule says what may vary.", control, share(d.GetNoiseRate()), whole(d.GetNoisePool()))
	default:
		return words + fmt.Sprintf("%s differs from itself there in %s of %s pairs, so noise explains it, or too little is known of so rare a difference.", control, share(d.GetNoiseRate()), whole(d.GetNoisePool()))
	}
}

// pairsLeft is about how many more pairs a finding takes, where there is no noise; 0 if that cannot be said.
func pairsLeft(d *crossfadev1.MirrorDifference) int64 {
	left := enoughOdd - d.GetOddCandidate()
	if d.GetOddControl() > 0 || left <= 0 || d.GetRate() <= 0 {
		return 0
	}
	magnitude := math.Pow(10, max(0, math.Floor(math.Log10(float64(left)/d.GetRate()))-1)) // two digits: more are not known
	return int64(math.Ceil(float64(left)/d.GetRate()/magnitude) * magnitude)
}
