package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// How much of a report is shown to people; -o json has all of it.
const (
	shownDifferences = 20
	shownEndpoints   = 10
	shownPaths       = 30
)

func newMirrorReport(a *app) *cobra.Command {
	var byVerdict bool
	cmd := &cobra.Command{
		Use: "report MIRROR", Short: "Show what an experiment found",
		Long: `Show what an experiment found so far, or in all: the verdict and why, the differences, and what became of the copies.

STATE of a difference: finding (beyond noise), open (more than noise explains, not proven yet), noise (the control
differs from itself as much), blind (it does so in most answers, so that nothing else can be seen there). RATE is the
share of the pairs that differ, with its interval (95 %); NOISE is how often the control differs from itself there.
WOULD HAVE FOUND AWAY FROM NOISE: which differences cannot have been missed at places without noise.
With -o markdown it is a comment for a pull request. With --exit-code: 0 Pass, 8 Fail, 9 Inconclusive, 1 Error.`,
		Example: "  shadowctl mirror report m1\n  shadowctl mirror report m1 -o markdown > comment.md\n  shadowctl mirror report m1 --exit-code",
		Args:    exactly("MIRROR"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing), Annotations: map[string]string{takesMarkdown: ""},
		RunE: a.do(func(ctx context.Context, args []string) error {
			r, err := a.readReport(ctx, args[0])
			if err != nil {
				return err
			}
			if a.output == markdown {
				err = a.print(markdownReport(r))
			} else {
				err = a.show(manifest.Answer(r), func() { a.sayReport(r, shownDifferences) })
			}
			if err != nil || !byVerdict {
				return err
			}
			return verdictExit(r.GetVerdict())
		}),
	}
	cmd.Flags().BoolVar(&byVerdict, "exit-code", false, "end with the exit code of the verdict")
	return cmd
}

// sayReport is a report for people, with at most so many differences.
func (a *app) sayReport(r *crossfadev1.MirrorReport, most int) {
	a.sayVerdict(r)
	a.sayCounts(r)
	if r.GetState() == mirrorLearning {
		a.saySeen(r)
		return
	}
	a.sayDifferences(r, most)
	a.sayBlind(r)
	a.sayEndpoints(r)
	a.sayLatency(r)
}

// sayVerdict says how it is and why, and what it is about.
func (a *app) sayVerdict(r *crossfadev1.MirrorReport) {
	a.say("mirror %s: %s", r.GetMirror(), a.paint(dash(r.GetVerdict()), verdictColor(r.GetVerdict())))
	about := fmt.Sprintf("%s: %s compared with %s", r.GetService(), r.GetCandidate(), r.GetControl())
	if r.GetMode() == modeDark {
		about = fmt.Sprintf("%s: %s alone is asked, nothing is compared", r.GetService(), r.GetCandidate())
	}
	if r.GetShare() > 0 {
		about += fmt.Sprintf("; %s of the requests, at most %s copies/s", policy.FormatWeight(policy.BasisPoints(r.GetShare())), rate(r.GetMaxRps()))
	}
	a.paragraph("about", faint, about)
	a.paragraph("state", faint, a.runWords(r))
	for _, w := range r.GetWhy() {
		label, c := "why", verdictColor(r.GetVerdict())
		if w.GetCode() == diffBlind { // it takes nothing from a verdict
			label, c = diffBlind, yellow
		}
		a.paragraph(label, c, w.GetMessage())
		if w.GetNext() != "" {
			a.paragraph("", "", "→ "+w.GetNext())
		}
	}
}

// runWords is "running for 12m, ends in 48m" or "ended 3m ago after 1h: duration".
func (a *app) runWords(r *crossfadev1.MirrorReport) string {
	started := r.GetRun().GetStarted()
	switch {
	case started == nil:
		return dash(r.GetState())
	case r.GetState() == mirrorEnded:
		return fmt.Sprintf("ended %s, after %s%s", a.ago(endOf(r)), short(lasted(r)), because(endedWords(r.GetRun())))
	}
	words := fmt.Sprintf("%s, started %s, ends %s", r.GetState(), a.ago(started), a.endsWords(r.GetState(), r.GetEnds(), ""))
	if asked := perSecond(r.GetAskedRps()); asked != "" && a.fresh(r.GetCounted()) {
		words += "; now asking " + asked
	}
	if r.GetComparators() == 0 {
		words += "; no comparator is at work"
	}
	return words
}

// endedWords is why a run ended.
func endedWords(run *crossfadev1.MirrorRun) string {
	return dashOr(run.GetDetail(), strings.ReplaceAll(run.GetWhy(), "_", " "))
}

// sayCounts says what became of the copies: the parts add up to the whole.
func (a *app) sayCounts(r *crossfadev1.MirrorReport) {
	dropped := sumOf(r.GetDropped())
	words := fmt.Sprintf("%s: %s compared", whole(r.GetMirrored()), whole(r.GetCompared()))
	if r.GetMode() == modeDark {
		words = fmt.Sprintf("%s: %s answered", whole(r.GetMirrored()), whole(r.GetAnswered()))
	}
	add := func(n int64, what string) {
		if n > 0 {
			words += fmt.Sprintf(", %s %s", whole(n), what)
		}
	}
	add(r.GetUnrepresentative(), "unrepresentative")
	add(r.GetTargetFailed(), "without an answer")
	add(dropped, "dropped")
	a.paragraph("copies", faint, words)
	if reasons := byName(r.GetReasons()); reasons != "" {
		a.paragraph("unfit", faint, reasons)
	}
	if dropped > 0 {
		a.paragraph("dropped", faint, byName(r.GetDropped()))
	}
	if r.GetOverCap() > 0 {
		a.paragraph("cut", faint, fmt.Sprintf("of %s only the beginning was compared: bodyCap", whole(r.GetOverCap())))
	}
	if r.GetLost() > 0 {
		a.paragraph("lost", yellow, fmt.Sprintf("at most %s copies are not counted, because a comparator ended without a word", whole(r.GetLost())))
	}
}

// saySeen lists what would be asked, and what not and why.
func (a *app) saySeen(r *crossfadev1.MirrorReport) {
	a.say("\n%s", a.paint("Paths seen so far; nobody is asked yet", faint))
	if len(r.GetSeen()) == 0 {
		a.say("none")
		return
	}
	t := &table{head: []string{"METHOD", "ENDPOINT", "SEEN", "ASKED?"}}
	for _, p := range r.GetSeen()[:min(shownPaths, len(r.GetSeen()))] {
		asked := cell{"yes", green}
		if p.GetExcluded() != "" {
			asked = cell{"no: " + p.GetExcluded(), yellow}
		}
		t.row(dash(p.GetMethod()), a.middle(p.GetEndpoint(), 40), whole(p.GetCount()), asked)
	}
	a.write(t)
	a.sayMore(len(r.GetSeen())-shownPaths, "path")
}

func (a *app) sayMore(n int, what string) {
	if n > 0 {
		a.say("%s", a.paint(fmt.Sprintf("and %s more: -o json has them all", count(int64(n), what)), faint))
	}
}

// sayDifferences has a row for each difference that is more than noise, and a number by which the others are asked for.
func (a *app) sayDifferences(r *crossfadev1.MirrorReport, most int) {
	if r.GetMode() == modeDark {
		return
	}
	findings, open, noise := kindCounts(r)
	if findings+open > 0 {
		a.say("")
		a.write(a.differencesTable(r.GetDifferences(), most))
	}
	words := fmt.Sprintf("%s beyond noise, %d open, %d explained by noise", count(int64(findings), "difference"), open, noise)
	if rest := findings + open - most; rest > 0 {
		words = fmt.Sprintf("and %d more; in all %s", rest, words)
	}
	a.say("\n%s", words)
	if findings+open > 0 {
		a.say("%s", a.paint(fmt.Sprintf("shadowctl mirror diffs %s shows both sides, shadowctl mirror explain %s 1 the reasons of the first", r.GetMirror(), r.GetMirror()), faint))
	}
}

// differencesTable numbers differences as the report does.
func (a *app) differencesTable(all []*crossfadev1.MirrorDifference, most int) *table {
	t := &table{head: []string{"#", "STATE", "ENDPOINT", "KIND", "PLACE", "RATE", "NOISE"}}
	room := max(9, (a.width-64)/2) // what the other columns leave
	for i, d := range all {
		if moreThanNoise(d) && len(t.rows) < most {
			t.row(fmt.Sprint(i+1), diffState(d.GetState()), a.middle(d.GetEndpoint(), room), d.GetKind(), a.middle(d.GetPath(), room), rateWords(d), share(d.GetNoiseRate()))
		}
	}
	return t
}

// middle shortens a text in its middle, where the output is a terminal: both ends of a path say what it is.
func (a *app) middle(s string, room int) string {
	r := []rune(s)
	if a.width == 0 || len(r) <= room {
		return string(r)
	}
	head := (room - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(room-1-head):])
}

func (a *app) sayEndpoints(r *crossfadev1.MirrorReport) {
	if len(r.GetEndpoints()) == 0 || r.GetMode() == modeDark {
		return
	}
	all := slices.Clone(r.GetEndpoints())
	slices.SortStableFunc(all, func(x, y *crossfadev1.MirrorEndpoint) int { return int(y.GetCompared() - x.GetCompared()) })
	a.say("")
	t := &table{head: []string{"ENDPOINT", "COMPARED", "UNREPRESENTATIVE", "WOULD HAVE FOUND AWAY FROM NOISE"}}
	for _, e := range all[:min(shownEndpoints, len(all))] {
		t.row(a.middle(e.GetEndpoint(), 50), whole(e.GetCompared()), whole(e.GetUnrepresentative()), detectableWords(e.GetDetectable()))
	}
	a.write(t)
	a.sayMore(len(all)-shownEndpoints, "endpoint")
}

// detectableWords says which differences cannot have been missed.
func detectableWords(rate float64) string {
	if rate >= 1 {
		return "nothing yet"
	}
	return "differences of " + share(math.Ceil(rate*1e4)/1e4) + " or more"
}

func (a *app) sayLatency(r *crossfadev1.MirrorReport) {
	if len(r.GetLatency()) == 0 {
		return
	}
	a.say("")
	t := &table{head: []string{"ORIGIN", "P50", "P90", "P99"}}
	for _, o := range slices.Sorted(maps.Keys(r.GetLatency())) {
		l := r.GetLatency()[o]
		t.row(o, milliseconds(l.GetP50()), milliseconds(l.GetP90()), milliseconds(l.GetP99()))
	}
	a.write(t)
	if words := slowerWords(r); words != "" {
		a.say("%s", words)
	}
}

// slowerWords says which origin takes longer, as far as it is known.
func slowerWords(r *crossfadev1.MirrorReport) string {
	if r.GetSlower() == 0 || r.GetMode() == modeDark {
		return ""
	}
	one, other, probability := r.GetCandidate(), r.GetControl(), r.GetSlower()
	if probability < 0.5 {
		one, other, probability = other, one, 1-probability
	}
	words := fmt.Sprintf("%s takes longer than %s with a probability of %s", one, other, share(probability))
	if r.GetSlowerP() > 0.01 {
		words += ", which may be chance"
	}
	return words + "; " + r.GetControl() + "'s caches are warm from live traffic."
}

// nowIs is how old a rate may be that is said to be that of now.
const nowIs = 3 * time.Second

// fresh says that figures are of now.
func (a *app) fresh(counted *timestamppb.Timestamp) bool {
	return counted != nil && a.now().Sub(counted.AsTime()) <= nowIs
}

// counted says how old the figures are, nothing where they are fresh.
func (a *app) counted(at *timestamppb.Timestamp) string {
	if at == nil {
		return "nothing counted yet"
	}
	return "counted " + a.ago(at)
}
