package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// diffFilter is which differences are shown.
type diffFilter struct{ state, endpoint, kind string }

// numbered is a difference with its number in the report, by which `mirror explain` is asked for it.
type numbered struct {
	*crossfadev1.MirrorDifference
	number int
}

func newMirrorDiffs(a *app) *cobra.Command {
	var f diffFilter
	cmd := &cobra.Command{
		Use: "diffs MIRROR", Short: "Show the differences of an experiment, each with an example of both sides",
		Long: `Show the differences that an experiment found, each with its rate, the noise at that place, and an example of both sides.

Of a value its type, its length and a keyed hash are shown, under which equal values are equal; the value itself only
where the experiment and the server's settings allow it. The number in front is for "mirror explain".`,
		Example: "  shadowctl mirror diffs m1\n  shadowctl mirror diffs m1 --state noise --endpoint /orders\n  shadowctl mirror diffs m1 --kind json_value -o json",
		Args:    exactly("MIRROR"), ValidArgsFunction: a.completeArgs(completeMirror, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if !slices.Contains([]string{"", "all", diffFinding, diffOpen, diffNoise, diffBlind}, f.state) {
				return badFlag("state", f.state, "must be finding, open, noise, blind or all")
			}
			r, err := a.readReport(ctx, args[0])
			if err != nil {
				return err
			}
			found := f.of(r)
			return a.show(pageOf(numberedNodes(found), ""), func() { a.sayDiffs(r, found) })
		}),
	}
	cmd.Flags().StringVar(&f.state, "state", "", "only these `STATE`s: finding, open, noise, blind or all (default: finding and open)")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "only of endpoints whose template contains `TEXT`")
	cmd.Flags().StringVar(&f.kind, "kind", "", "only of this `KIND`, for example json_value")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{diffFinding, diffOpen, diffNoise, diffBlind, "all"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

func (f *diffFilter) of(r *crossfadev1.MirrorReport) []numbered {
	var out []numbered
	for i, d := range r.GetDifferences() {
		wanted := f.state == "all" || f.state == d.GetState() || f.state == "" && moreThanNoise(d)
		if wanted && strings.Contains(d.GetEndpoint(), f.endpoint) && (f.kind == "" || f.kind == d.GetKind()) {
			out = append(out, numbered{d, i + 1})
		}
	}
	return out
}

// moreThanNoise says that a difference is listed without being asked for.
func moreThanNoise(d *crossfadev1.MirrorDifference) bool {
	return d.GetState() != diffNoise && d.GetState() != diffBlind
}

func numberedNodes(found []numbered) *yaml.Node {
	list := manifest.List()
	for _, d := range found {
		one := manifest.Map()
		manifest.Put(one, "number", manifest.Int(d.number))
		one.Content = append(one.Content, manifest.Answer(d.MirrorDifference).Content...)
		list.Content = append(list.Content, one)
	}
	return list
}

func (a *app) sayDiffs(r *crossfadev1.MirrorReport, found []numbered) {
	for i, d := range found {
		if i > 0 {
			a.say("")
		}
		a.sayDiff(r, d)
	}
	if len(found) == 0 {
		findings, open, noise := kindCounts(r)
		a.note("There is none of these. In all: %d beyond noise, %d open, %d explained by noise (--state all).", findings, open, noise)
	}
}

// oddWords says whose answer was the odd one of three, and of how many: of those that were asked by chance, and of those that were asked because
// of this difference.
func oddWords(r *crossfadev1.MirrorReport, d *crossfadev1.MirrorDifference) string {
	words := fmt.Sprintf("%s %s, %s %s: of %s pairs for which %s was asked twice by chance", r.GetCandidate(), times(d.GetOddCandidate()), r.GetControl(), times(d.GetOddControl()),
		whole(d.GetNoisePool()), r.GetControl())
	if d.GetAskedAgain() > 0 {
		words += fmt.Sprintf(", and %s for which it was asked again because they differ here", whole(d.GetAskedAgain()))
	}
	return words
}

// sayDiff is the block of one difference.
func (a *app) sayDiff(r *crossfadev1.MirrorReport, d numbered) {
	s := diffState(d.GetState())
	a.say("%d. %s  %s", d.number, a.paint(s.text, s.color), d.GetKind())
	a.paragraph("endpoint", faint, d.GetEndpoint())
	a.paragraph("place", faint, d.GetPath())
	a.paragraph("rate", faint, fmt.Sprintf("%s of %s pairs: %s; %s differs from itself in %s of %s", whole(d.GetCount()), whole(d.GetCompared()), rateWords(d.MirrorDifference),
		r.GetControl(), share(d.GetNoiseRate()), whole(d.GetNoisePool())))
	a.paragraph("odd one", faint, oddWords(r, d.MirrorDifference))
	control, candidate := r.GetControl()+": "+shapeWords(d.GetExample().GetControl()), r.GetCandidate()+": "+shapeWords(d.GetExample().GetCandidate())
	const side = 50
	if (a.width == 0 || a.width >= textWidth) && utf8.RuneCountInString(control) <= side && utf8.RuneCountInString(candidate) <= side {
		a.say("  %s    %s%s   %s", a.paint("example", faint), control, strings.Repeat(" ", side-utf8.RuneCountInString(control)), candidate)
	} else {
		a.paragraph("example", faint, control)
		a.paragraph("", "", candidate)
	}
	if len(d.GetVariants()) > 1 {
		a.paragraph("values", faint, variantWords(d.MirrorDifference))
	}
	a.paragraph("seen", faint, fmt.Sprintf("from %s to %s UTC", utc(d.GetFirstSeen()), utc(d.GetLastSeen())))
}
