package experiment

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// TestReportsOfTheApiHaveAllThatWasCounted: what is blind comes last, whatever was remembered to be a finding, and statuses are not lost on the way.
func TestReportsOfTheApiHaveAllThatWasCounted(t *testing.T) {
	row := func(path string, s shadow.State) shadow.Row { return shadow.Row{Path: path, State: s} }
	sum := &shadow.Report{Blind: 1, Differences: []shadow.Row{row("a", shadow.Blind), row("b", shadow.Finding), row("c", shadow.Noise), row("d", shadow.Open), row("e", shadow.Finding)}}
	sum.Differences[1].Asked, sum.Differences[1].Variants = 7, []shadow.Variant{{Control: "200", Candidate: "405", Count: 3}}
	got := reportOf(sum)
	order := ""
	for _, d := range got.GetDifferences() {
		order += d.GetPath() + " " + d.GetState() + ", "
	}
	if want := "b finding, e finding, d open, c noise, a blind, "; order != want || got.GetBlind() != 1 || sum.Differences[0].Path != "a" {
		t.Errorf("%s, %d blind", order, got.GetBlind())
	}
	first := got.GetDifferences()[0]
	if v := first.GetVariants(); first.GetAskedAgain() != 7 || len(v) != 1 || v[0].GetControl() != "200" || v[0].GetCandidate() != "405" || v[0].GetCount() != 3 {
		t.Errorf("%v", first)
	}
}
