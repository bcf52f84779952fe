package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func newMirrorExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain MIRROR [N]", Short: "Say how the verdict of an experiment came about, or what is behind its N-th difference",
		Long: `Say how the verdict of an experiment came about: every question that was asked of the counts, and its answer. With N,
of the difference of that number in "mirror report" and "mirror diffs": the counts, the test in words, and the rule
that would say that it is meant.`,
		Example: "  shadowctl mirror explain m1\n  shadowctl mirror explain m1 3",
		Args:    exactly("MIRROR", "[N]"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if len(args) == 1 {
				return a.explainVerdict(ctx, args[0])
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return badValue("out_of_range", "N", args[1], "must be the number of a difference, 1 or more")
			}
			r, err := a.readReport(ctx, args[0])
			switch {
			case err != nil:
				return err
			case n > len(r.GetDifferences()):
				f := badValue("out_of_range", "N", args[1], fmt.Sprintf("the report has %s", count(int64(len(r.GetDifferences())), "difference")))
				f.problems[0].next = "`shadowctl mirror diffs " + args[0] + " --state all` shows them with their numbers"
				return f
			}
			return a.explainDifference(r, numbered{r.GetDifferences()[n-1], n})
		}),
	}
}

// check is one question of which a verdict depends.
type check struct {
	code string
	asks string // a question
	good string // its answer where a verdict can be Pass, with the figures
	bad  string // and otherwise, before the reason
}

// checks are in the order in which they are made. The last ones are made only if nothing is a finding.
func checks(r *crossfadev1.MirrorReport, minPairs int) []check {
	asked := r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed()
	unfit := r.GetUnrepresentative() + r.GetTargetFailed()
	of := func(n int64) string {
		if asked == 0 {
			return "0"
		}
		return share(float64(n)/float64(asked)) + " of " + whole(asked)
	}
	return []check{
		{"differences", "Is any difference beyond noise?", "No", "Yes"},
		{"control_failed", "Does control answer?", fmt.Sprintf("Yes: it failed for %s (more than 50%% is an Error)", of(r.GetTargetFailed())), "No"},
		{"too_few", "Are there enough pairs?", fmt.Sprintf("Yes: %s were compared, %s are needed", whole(r.GetCompared()), whole(int64(minPairs))), "No"},
		{"unrepresentative", "Do the answers say something of live traffic?", fmt.Sprintf("Yes, but for %s (at most 5%% may)", of(unfit)), "No"},
		{"one_body", "Does control give one body to nearly all paths?", "No", "Yes"},
		{"endpoint_unauthorized", "Is an endpoint refused for want of credentials?", "No", "Yes"},
		{"live_unknown", "Is it known which statuses live traffic gets?", "Yes", "No"},
		{"status_mix", "Are control's classes of statuses those of live traffic?", "Yes, give or take 10%", "No"},
		{"open", "Is any difference more than noise explains, and not proven?", "No", "Yes"},
		{"crowded", "Was every difference counted?", "Yes", "No"},
		{diffBlind, "Is there a place at which nothing can be found?", "No", "Yes"},
	}
}

// preconditions are asked before the counts are looked at.
var preconditions = map[string]string{
	"learning":         "Is the time over in which nobody is asked?",
	"identity_unknown": "Do the server's settings have the test identity?",
	"report_lost":      "Is all there that was counted?",
	"report_expired":   "Is the report still kept?",
	"report_not_kept":  "Is what is counted kept on disk?",

	"report_unreadable": "Can what was counted be read?",
	"counts_untaken":    "Are the counts of all comparators taken?",
	modeDark:            "Are answers compared?",
}

// decided are the codes after which nothing else is asked.
var decided = map[string]bool{"differences": true, "control_failed": true, modeDark: true}

func (a *app) explainVerdict(ctx context.Context, name string) error {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kindMirror, Name: name})
	if err != nil {
		return err
	}
	r, err := a.readReport(ctx, name)
	if err != nil {
		return err
	}
	minPairs := int(got.GetDocument().GetMirror().GetMinPairs())
	if m, errs := policy.CompileMirror(got.GetDocument().GetMirror()); errs == nil {
		minPairs = m.MinPairs
	}
	answers := answersOf(r, minPairs)
	return a.show(verdictTree(r, answers), func() {
		a.say("mirror %s: %s", r.GetMirror(), a.paint(dash(r.GetVerdict()), verdictColor(r.GetVerdict())))
		for _, c := range answers {
			a.sayAnswer(c)
		}
		if all := blind(r); len(all) > 0 {
			a.say("")
			a.sayBlindRules(r, all)
		}
		a.sayRule(r)
	})
}

// answered is a check with its answer: why not, if not.
type answered struct {
	check
	why     *crossfadev1.MirrorWhy
	skipped bool
}

// sayAnswer is a question with its answer, and before it what that means for the verdict.
func (a *app) sayAnswer(c answered) {
	switch {
	case c.why != nil:
		label, shade := "fails", red
		if c.code == diffBlind {
			label, shade = diffBlind, yellow
		}
		a.paragraph(label, shade, c.found())
		if c.why.GetNext() != "" {
			a.paragraph("", "", "→ "+c.why.GetNext())
		}
	case c.skipped:
		a.paragraph("not asked", faint, c.asks+" (decided above)")
	default:
		a.paragraph("holds", green, c.found())
	}
}

// found is the question with its answer.
func (c answered) found() string {
	if c.why != nil {
		return c.asks + " " + c.bad + ": " + c.why.GetMessage()
	}
	return c.asks + " " + c.good
}

func (c answered) answer() string {
	switch {
	case c.why != nil && c.code == diffBlind:
		return "limits"
	case c.why != nil:
		return "fails"
	case c.skipped:
		return "notAsked"
	default:
		return "holds"
	}
}

// answersOf sets the reasons of a report against the checks. Reasons that we do not know of stand in front.
func answersOf(r *crossfadev1.MirrorReport, minPairs int) []answered {
	why := map[string]*crossfadev1.MirrorWhy{}
	for _, w := range r.GetWhy() {
		why[w.GetCode()] = w
	}
	if n := int(r.GetBlind()); n > 0 && why[diffBlind] == nil { // whatever is a finding elsewhere
		why[diffBlind] = &crossfadev1.MirrorWhy{Code: diffBlind, Message: blindWords(n)}
	}
	var known, others []answered
	skipped := why[modeDark] != nil
	for _, c := range checks(r, minPairs) {
		known = append(known, answered{c, why[c.code], skipped && why[c.code] == nil && (c.code != diffBlind || why[modeDark] != nil)})
		skipped = skipped || why[c.code] != nil && decided[c.code]
		delete(why, c.code)
	}
	for _, w := range r.GetWhy() {
		if why[w.GetCode()] != nil {
			others = append(others, answered{check{w.GetCode(), dashOr(preconditions[w.GetCode()], w.GetCode()), "", "No"}, w, false})
		}
	}
	return append(others, known...)
}

// sayRule says how the answers make the verdict.
func (a *app) sayRule(r *crossfadev1.MirrorReport) {
	a.say("")
	switch r.GetVerdict() {
	case verdictPass:
		a.say("All of them hold: Pass. Which differences cannot have been missed away from noise, by endpoint: shadowctl mirror report %s", r.GetMirror())
	case verdictFail:
		a.say("A single finding is Fail, whatever else is not known. Each of them: shadowctl mirror explain %s N", r.GetMirror())
	case verdictInconclusive:
		a.say("Pass needs all of them to hold; without a finding, one that fails makes it Inconclusive.")
	default:
		a.say("The experiment itself does not work, so it says nothing of %s.", r.GetCandidate())
	}
}

func verdictTree(r *crossfadev1.MirrorReport, answers []answered) *yaml.Node {
	tree, list := manifest.Map(), manifest.List()
	for _, c := range answers {
		one := manifest.Map()
		manifest.Put(one, "code", manifest.Str(c.code))
		manifest.Put(one, "asks", manifest.Str(c.asks))
		manifest.Put(one, "answer", manifest.Str(c.answer()))
		if !c.skipped && c.why == nil {
			manifest.Put(one, "message", manifest.Str(c.good))
		}
		if c.why != nil {
			manifest.Put(one, "message", manifest.Str(c.why.GetMessage()))
			manifest.Put(one, "next", manifest.Str(c.why.GetNext()))
		}
		list.Content = append(list.Content, one)
	}
	manifest.Put(tree, "mirror", manifest.Str(r.GetMirror()))
	manifest.Put(tree, "verdict", manifest.Str(r.GetVerdict()))
	manifest.Put(tree, "checks", list)
	return tree
}
