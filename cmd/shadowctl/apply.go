package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newApply(a *app) *cobra.Command {
	var f files
	var force bool
	cmd := &cobra.Command{
		Use: "apply -f FILE…", Short: "Create or update what files describe, all or nothing",
		Long: `Create or update services and fleet settings, and start experiments and rollouts. Several documents are applied together, or none of them.

A service without "split" or "pins" keeps those that are live; a new one starts with everything on its primary.
After a rollback, an apply that would raise another origin is held (exit 9) until "split set", "pin add", "undo" or a step of a rollout; so is
one that would send an origin more than its endpoints that are ready can take.
With -o json the result is a list, {"items":[…]}, with one change per document.`,
		Example: "  shadowctl example service > orders.yaml\n  shadowctl apply -f orders.yaml --reason \"first service\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.names = append(f.names, args...)
			return a.do(func(ctx context.Context, _ []string) error { return a.apply(ctx, f.names, force) })(cmd, args)
		},
	}
	f.flag(cmd, "documents to apply:")
	cmd.Flags().BoolVar(&force, "force", false, "even if it is held: after a rollback, or as an origin has too few endpoints ready for its share")
	return cmd
}

func (a *app) apply(ctx context.Context, names []string, force bool) error {
	docs, err := a.readDocuments(names)
	if err != nil {
		return err
	}
	req := &crossfadev1.ApplyRequest{Documents: docs, Options: a.options()}
	req.Options.Force = force
	out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.Apply, req, a.onlyService())
	if err != nil {
		return err
	}
	if err := a.showChanges(out.GetChanges(), ""); err != nil {
		return err
	}
	a.adviseProxy(ctx, out.GetChanges())
	return nil
}

// onlyService is the name of the service of a single document, empty otherwise.
func (a *app) onlyService() string {
	if len(a.docs) != 1 {
		return ""
	}
	return a.docs[0].Document.GetService().GetName()
}
