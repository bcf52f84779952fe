package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newDiff(a *app) *cobra.Command {
	var f files
	cmd := &cobra.Command{
		Use: "diff -f FILE…", Short: "Say what an apply would change, and change nothing",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.names = append(f.names, args...)
			return a.do(func(ctx context.Context, _ []string) error { return a.diff(ctx, f.names) })(cmd, args)
		},
	}
	f.flag(cmd, "documents to compare:")
	return cmd
}

func (a *app) diff(ctx context.Context, names []string) error {
	docs, err := a.readDocuments(names)
	if err != nil {
		return err
	}
	out, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Diff, &crossfadev1.DiffRequest{Documents: docs})
	if err != nil {
		return err
	}
	return a.show(page(out.GetDifferences(), ""), func() {
		for _, d := range out.GetDifferences() {
			a.sayDifference(d)
		}
	})
}

func (a *app) sayDifference(d *crossfadev1.Difference) {
	words := map[string]string{"create": "would be created", "update": "would change", "none": "no change"}[d.GetAction()]
	a.say("%s %s: %s", d.GetKind(), d.GetName(), dash(words))
	for _, f := range d.GetFields() {
		before, after := oneLine(f.GetBefore()), oneLine(f.GetAfter())
		switch {
		case before == "":
			a.say("  %s", a.paint("+ "+f.GetField()+": "+after, green))
		case after == "":
			a.say("  %s", a.paint("- "+f.GetField()+": "+before, red))
		default:
			a.say("  %s %s → %s", a.paint("~ "+f.GetField()+":", yellow), before, after)
		}
	}
}
