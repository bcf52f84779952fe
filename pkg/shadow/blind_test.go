package shadow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// shuffled reports answers whose list is in another order each time, with a score that is drawn; the candidate's has a wrong price in one of nine.
func shuffled(t *testing.T, rules ...rule.Rule) *Report {
	t.Helper()
	c, tally := newPair(t, Options{Rules: rules})
	r := rand.New(rand.NewPCG(1, 1))
	list := func(wrong bool) *Answer {
		var parts []string
		for _, i := range r.Perm(8) {
			price := i * 10
			if wrong && i == 3 {
				price++
			}
			parts = append(parts, fmt.Sprintf(`{"id":%d,"price":%d,"score":%d}`, i, price, r.IntN(1000)))
		}
		return asJSONOf(`{"items":[` + strings.Join(parts, ",") + `]}`)
	}
	for i := range 3000 {
		wrong := r.IntN(9) == 0
		p := &Pair{Method: "GET", Path: fmt.Sprintf("/items?page=%d", i), Control: list(false), Candidate: list(wrong)}
		if i%5 == 0 {
			p.Second = list(false)
		}
		o := c.Judge(p, Live{}, nil)
		if tally.Wants(o) {
			p.Second, p.Chosen = list(false), ByDifference
			o = c.Judge(p, Live{}, o)
		}
		tally.Add(o, began)
	}
	return tally.Report(Policy{MinPairs: 1000, OneBody: true, Live: Live{2: 1000}})
}

// TestAPlaceThatHidesEverythingIsSaid: a list that is never in the same order twice hid that one of its prices was wrong in 11 % of the answers, and
// the report said that differences of 2 % would have been found. A rule that makes it a set opens it.
func TestAPlaceThatHidesEverythingIsSaid(t *testing.T) {
	r := shuffled(t)
	var blind []string
	for i, d := range r.Differences {
		if d.State == Blind {
			blind = append(blind, d.Path)
		}
		if i > 0 && d.State.Rank() < r.Differences[i-1].State.Rank() {
			t.Errorf("%s comes after %s", d.State, r.Differences[i-1].State)
		}
	}
	if !slices.Contains(blind, "$.items[*].price") || r.Blind != len(blind) {
		t.Fatalf("%d are said to be blind, %v are: %+v", r.Blind, blind, r.Differences)
	}
	if last := r.Why[len(r.Why)-1]; last.Code != "blind" || !strings.Contains(last.Message, "nothing can be found there") || last.Next == "" {
		t.Errorf("%+v", r.Why)
	}
	if r := shuffled(t, rule.Rule{Path: "$.items", Action: rule.Set, Key: "id"}); r.Differences[0].Path != "$.items[*].price" || r.Differences[0].State != Finding || r.Blind != 1 {
		t.Errorf("with a set: %s, %d blind: %+v", r.Verdict, r.Blind, r.Differences)
	}
}

// TestWhatIsBlindIsNoDoubt: a Pass stays one and says at which places it says nothing. Noise in a third of the answers is no such place.
func TestWhatIsBlindIsNoDoubt(t *testing.T) {
	run := func(noise int) *Report {
		c, tally := newPair(t, Options{})
		r := rand.New(rand.NewPCG(2, 2))
		one := func() *Answer { return asJSONOf(fmt.Sprintf(`{"ticket":%d}`, max(0, r.IntN(1000)-1000+noise))) }
		for i := range 1000 {
			tally.Add(c.Judge(&Pair{Method: "GET", Path: fmt.Sprint("/t?", i), Control: one(), Candidate: one(), Second: one()}, Live{}, nil), began)
		}
		return tally.Report(Policy{MinPairs: 1000, OneBody: true, Live: Live{2: 1000}})
	}
	if r := run(999); r.Verdict != Pass || r.Blind != 1 || len(r.Why) != 1 || r.Why[0].Code != "blind" || !strings.HasPrefix(r.Why[0].Message, "1 place differs from itself") {
		t.Errorf("%s, %+v", r.Verdict, r.Why)
	}
	if r := run(150); r.Verdict != Pass || r.Blind != 0 || len(r.Why) != 0 || r.Differences[0].State != Noise {
		t.Errorf("%s, %+v", r.Verdict, r.Why)
	}
}
