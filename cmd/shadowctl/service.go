package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newService(a *app) *cobra.Command {
	return group("service", "Change where rollbacks go", newSetPrimary(a))
}

func newSetPrimary(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "set-primary SERVICE ORIGIN", Short: "Make an origin the one where rollbacks go",
		Long:    "Make an origin the primary: where a rollback goes, and where requests go if a weight is lost.\nIt has to carry 100% already, unless --force is given.",
		Example: "  shadowctl split set orders eks=100%\n  shadowctl service set-primary orders eks --reason \"migration done\"",
		Args:    exactly("SERVICE", "ORIGIN"), ValidArgsFunction: a.completeArgs(completeService, completeOrigin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.SetPrimaryRequest{Service: args[0], Origin: args[1], Options: a.options()}
			req.Options.Force = force
			done := "primary " + args[1]
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.SetPrimary, req, args[0])
			if err != nil {
				return a.failureAfter(err, done)
			}
			return a.showChange(out.GetChange(), done)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if the origin does not carry everything")
	return cmd
}
