package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newUndo(a *app) *cobra.Command {
	var to int64
	var force bool
	cmd := &cobra.Command{
		Use: "undo SERVICE [--to REVISION]", Short: "Return a service to an earlier revision, by a new one",
		Long:    "Return a service to what it was before its last change, or at a revision that \"history\" shows.",
		Example: "  shadowctl undo orders\n  shadowctl undo orders --to 41",
		Args:    exactly("SERVICE"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if to < 0 {
				return badFlag("to", strconv.FormatInt(to, 10), "must be a revision, 1 or more")
			}
			req := &crossfadev1.UndoRequest{Service: args[0], To: to, Options: a.options()}
			req.Options.Force = force
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.Undo, req, args[0])
			if err != nil {
				return err
			}
			return a.showChange(out.GetChange(), "")
		}),
	}
	cmd.Flags().Int64Var(&to, "to", 0, "the `REVISION` to return to (default: the one before the last)")
	cmd.Flags().BoolVar(&force, "force", false, "even if an origin has too few endpoints ready for its share")
	return cmd
}
