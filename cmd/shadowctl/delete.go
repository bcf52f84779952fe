package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete KIND NAME", Short: "Remove a service, the settings of a fleet, an experiment or a rollout",
		Long: `Remove a service: its hosts answer 404 from then on. Remove the settings of a fleet: it goes back to the defaults.
Remove an experiment with its report: one that runs ends. Remove a rollout that is over. "undo" brings a service back.`,
		Args: exactly("KIND", "NAME"), ValidArgsFunction: a.completeArgs(completeKind, completeNamed, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			kind, err := kindArg(args[0])
			if err != nil {
				return err
			}
			req := &crossfadev1.DeleteRequest{Kind: kind, Name: args[1], Options: a.options()}
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.Delete, req, args[1])
			if err != nil {
				return err
			}
			return a.showChange(out.GetChange(), "")
		}),
	}
}
