package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// lastNotes is how many notes an explanation shows.
const lastNotes = 10

func newRolloutExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain ROLLOUT", Short: "Say where a rollout is, what it waits for, and what every guard says",
		Long: `Say where a rollout is, what it waits for, and what every guard says, with its numbers.

EVIDENCE is how much of what a failure needs has been seen against the new origin: at 100% a guard fails. Between, chance is not
ruled out yet. A guard that is Inconclusive or Error holds the step; it takes nothing back.
The same guards are held against the primary: if it is the one that fails, the rollout freezes, since going back would not help.`,
		Args: exactly("ROLLOUT"), ValidArgsFunction: a.completeArgs(completeRollouts(anyRollout), completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			st, err := a.rolloutStatus(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(manifest.Answer(st), func() { a.sayExplanation(st) })
		}),
	}
}

// sayExplanation is everything that is known of a rollout.
func (a *app) sayExplanation(st *crossfadev1.RolloutStatus) {
	a.saySummary(st)
	if do := whatToDo(st); do != "" {
		a.paragraph("", "", "→ "+do)
	}
	a.sayGuards("Guards of "+st.GetTo(), st.GetGuards())
	a.sayGuards("The same at "+dashOr(st.GetPrimary(), "the primary")+", the primary", st.GetPrimaryGuards())
	a.sayNotes(st)
}

// saySummary says where a rollout is and what it waits for, a line each.
func (a *app) saySummary(st *crossfadev1.RolloutStatus) {
	a.say("rollout %s: %s", st.GetName(), a.paint(dash(st.GetState()), phaseColor(phaseOf(st))))
	a.paragraph("moves", faint, movesWords(st))
	a.flow("steps", stepCells(st), " → ")
	if words := bakeWords(st); words != "" {
		a.paragraph("bake", faint, words)
	}
	if st.GetWaitingFor() != "" {
		a.paragraph("now", faint, itWords(st))
	}
	if reason := st.GetReason(); reason != "" && !strings.Contains(st.GetWaitingFor(), reason) {
		a.paragraph("since", faint, a.ago(st.GetSince())+": "+reason)
	}
	if st.GetStarted() != nil {
		started := a.ago(st.GetStarted()) + " by " + dashOr(st.GetStartedBy(), "somebody")
		if st.GetEnded() != nil {
			started += "; over since " + short(a.now().Sub(st.GetEnded().AsTime()))
		}
		a.paragraph("started", faint, started)
	}
	a.sayOddities(st)
}

// sayOddities says what one should know besides.
func (a *app) sayOddities(st *crossfadev1.RolloutStatus) {
	if st.GetRetained() != nil {
		a.paragraph("kept", faint, fmt.Sprintf("%s is kept for %s yet; until then shadowctl rollback %s is as fast as before", st.GetFrom(), durationWords(st.GetRetained().AsDuration()), st.GetService()))
	}
	if st.GetDrift() != "" {
		a.paragraph("drift", yellow, st.GetDrift())
	}
	if n := st.GetUndelivered(); n > 0 {
		a.paragraph("hook", yellow, count(int64(n), "note")+" not taken yet by the webhook")
	}
}

// sayGuards shows guards with all of their numbers, and below them their words.
func (a *app) sayGuards(title string, guards []*crossfadev1.GuardStatus) {
	if len(guards) == 0 {
		return
	}
	a.say("\n%s", a.paint(title, faint))
	t := &table{head: []string{"GUARD", "METRIC", "VALUE", "LIMIT", "REQUESTS", "WINDOW", "EVIDENCE", "VERDICT"}}
	for _, g := range guards {
		t.row(g.GetName(), g.GetMetric(), valueCell(g), limitWords(g), samplesCell(g), windowCell(g), evidenceCell(g), verdictCell(g.GetVerdict()))
	}
	a.write(t)
	for _, g := range guards {
		if g.GetMessage() == "" {
			continue
		}
		a.paragraph(g.GetName(), verdictColor(g.GetVerdict()), why(g))
		if g.GetNext() != "" {
			a.paragraph("", "", "→ "+g.GetNext())
		}
	}
}

func samplesCell(g *crossfadev1.GuardStatus) cell {
	if g.GetMetric() == metricMirror || g.GetMetric() == metricQuery {
		return cell{"-", faint}
	}
	return cell{text: whole(g.GetSamples())}
}

func windowCell(g *crossfadev1.GuardStatus) cell {
	if g.GetWindow().AsDuration() <= 0 {
		return cell{"-", faint}
	}
	return cell{text: seconds(float64(g.GetWindow().AsDuration().Milliseconds()))}
}

// evidenceCell is the evidence in parts of what a failure needs. Below the whole it never reads 100%.
func evidenceCell(g *crossfadev1.GuardStatus) cell {
	switch e := g.GetEvidence(); {
	case g.GetSamples() == 0 || g.GetMetric() == metricMirror || g.GetMetric() == metricQuery || guard.Metric(g.GetMetric()) == guard.Requests:
		return cell{"-", faint}
	case e >= 1:
		return cell{"100%", red}
	case e >= 0.5:
		return cell{fmt.Sprintf("%d%%", min(99, int(100*e))), yellow}
	default:
		return cell{text: fmt.Sprintf("%d%%", int(100*e))}
	}
}

// sayNotes shows what happened last, oldest first.
func (a *app) sayNotes(st *crossfadev1.RolloutStatus) {
	notes := st.GetNotes()
	if len(notes) == 0 {
		return
	}
	title := "What happened, UTC"
	if len(notes) > lastNotes {
		title = "What happened last, UTC"
		notes = notes[len(notes)-lastNotes:]
	}
	a.say("\n%s", a.paint(title, faint))
	t := &table{head: []string{"TIME", "STEP", "WEIGHT", "STATE", "WHAT"}, wrap: true}
	for _, n := range notes {
		what := cell{text: n.GetText()}
		if n.GetAlarm() {
			what.color = red
		}
		t.row(utc(n.GetTime()), fmt.Sprint(n.GetStep()), weightWords(n.GetWeight()), cell{dash(n.GetState()), phaseColor(rollout.Phase(n.GetState()))}, what)
	}
	a.write(t)
}

// guardsTable is what guards say, in short: those that do not pass first, and at most so many.
func guardsTable(guards []*crossfadev1.GuardStatus, most int) (t *table, more int) {
	if len(guards) > most {
		rank := map[string]int{verdictFail: 0, "Error": 1, verdictInconclusive: 2, verdictPass: 3}
		guards = slices.SortedStableFunc(slices.Values(guards), func(x, y *crossfadev1.GuardStatus) int {
			return cmp.Compare(rank[x.GetVerdict()], rank[y.GetVerdict()])
		})
		more = len(guards) - most
		guards = guards[:most]
	}
	t = &table{head: []string{"GUARD", "VALUE", "LIMIT", "REQUESTS", "VERDICT", "WHY"}}
	for _, g := range guards {
		words := ""
		if g.GetVerdict() != verdictPass {
			words = why(g)
		}
		t.row(g.GetName(), valueCell(g), limitWords(g), samplesCell(g), verdictCell(g.GetVerdict()), words)
	}
	return t, more
}

// flow writes parts below a label, broken between them so that no line is too wide.
func (a *app) flow(label string, parts []cell, between string) {
	const indent = 13
	width := textWidth
	if a.width > 0 {
		width = min(width, a.width)
	}
	line, column := "  "+a.paint(label, faint)+strings.Repeat(" ", max(1, indent-2-utf8.RuneCountInString(label))), indent
	for i, p := range parts {
		text := p.text
		if i < len(parts)-1 {
			text += strings.TrimRight(between, " ")
		}
		n := utf8.RuneCountInString(text)
		if i > 0 && column+1+n > width {
			a.say("%s", line)
			line, column = strings.Repeat(" ", indent), indent
		} else if i > 0 {
			line, column = line+" ", column+1
		}
		line, column = line+a.paint(p.text, p.color)+text[len(p.text):], column+n
	}
	a.say("%s", line)
}
