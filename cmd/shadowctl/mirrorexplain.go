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
	asks string // what has to be so
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
		{"differences", "no difference is beyond noise"},
		{"control_failed", fmt.Sprintf("control answers: it failed for %s (above 50%% is an Error)", of(r.GetTargetFailed()))},
		{"too_few", fmt.Sprintf("enough pairs: %s compared, %s needed", whole(r.GetCompared()), whole(int64(minPairs)))},
		{"unrepresentative", fmt.Sprintf("the answers say something of live traffic: %s do not (at most 5%% may)", of(unfit))},
		{"one_body", "control does not give one body to nearly all paths"},
		{"endpoint_unauthorized", "no endpoint is refused for want of credentials"},
		{"status_mix", "control's classes of statuses are those of live traffic, give or take 10%"},
		{"open", "no difference is more than noise explains, and not proven"},
		{"crowded", "every difference was counted: there are not more places than are kept"},
	}
}

// preconditions are asked before the counts are looked at.
var preconditions = map[string]string{
	"learning":         "the time in which nobody is asked is over",
	"identity_unknown": "the server's settings have the test identity",
	"report_lost":      "what was counted is all there",
	"report_expired":   "the report is still kept",
	modeDark:           "answers are compared",
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
			switch {
			case c.why != nil:
				a.paragraph("fails", red, c.asks)
				a.paragraph("", "", c.why.GetMessage())
				if c.why.GetNext() != "" {
					a.paragraph("", "", "→ "+c.why.GetNext())
				}
			case c.skipped:
				a.paragraph("not asked", faint, c.asks)
			default:
				a.paragraph("holds", green, c.asks)
			}
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

func (c answered) answer() string {
	switch {
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
	var known, others []answered
	skipped := why[modeDark] != nil
	for _, c := range checks(r, minPairs) {
		known = append(known, answered{c, why[c.code], skipped && why[c.code] == nil})
		skipped = skipped || why[c.code] != nil && decided[c.code]
		delete(why, c.code)
	}
	for _, w := range r.GetWhy() {
		if why[w.GetCode()] != nil {
			others = append(others, answered{check{w.GetCode(), dashOr(preconditions[w.GetCode()], w.GetCode())}, w, false})
		}
	}
	return append(others, known...)
}

// sayRule says how the answers make the verdict.
func (a *app) sayRule(r *crossfadev1.MirrorReport) {
	a.say("")
	switch r.GetVerdict() {
	case verdictPass:
		a.say("All of them hold: Pass. Which differences cannot have been missed, by endpoint: shadowctl mirror report %s", r.GetMirror())
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
