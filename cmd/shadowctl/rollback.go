package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newRollback(a *app) *cobra.Command {
	var all, keepPins bool
	var fleet string
	cmd := &cobra.Command{
		Use: "rollback SERVICE | --all", Short: "Send everything to the primary, now",
		Long: `Send every request to the primary and switch pins to other origins off, in every fleet that serves the service. It needs no
revision, overrides whatever is in progress, and is pushed to the proxies before it is recorded. It waits until the data plane
proves it, and says what it saw. With --fleet it is done in that fleet only: the others keep their split, and that fleet stays
back until "split set" or "undo".
Rolling back what is at the primary already succeeds, with proof.

Exit 0: every connected proxy is proven or had no request yet. 7: waited too long (it stands). 11: applied, but not recorded.
If the server is down: shadowctl break-glass SERVICE`,
		Example: "  shadowctl rollback orders --reason \"5xx on eks\"\n  shadowctl rollback --all --fleet edge",
		Args:    exactly("[SERVICE]"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
	}
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		service := ""
		switch {
		case len(args) == 1 && all:
			return usageOf(cmd, "SERVICE and --all are both given")
		case len(args) == 0 && !all:
			return usageOf(cmd, "SERVICE is missing; --all rolls every service back")
		case len(args) == 1:
			service = args[0]
		}
		req := &crossfadev1.RollbackRequest{Service: service, All: all, KeepPins: keepPins, Fleet: fleet, Options: a.options()}
		out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.Rollback, req, service)
		if err != nil {
			return a.offerBreakGlass(err, service, where(fleet))
		}
		return a.showRollback(out.GetChanges(), all, where(fleet))
	})
	cmd.Flags().BoolVar(&all, "all", false, "every service")
	cmd.Flags().BoolVar(&keepPins, "keep-pins", false, "leave pins on; the proof is then unknown")
	a.fleetFlag(cmd, &fleet, "only in this `FLEET`")
	return cmd
}

// where says in which fleet it was done, if only there.
func where(fleet string) string {
	if fleet == "" {
		return ""
	}
	return "in fleet " + fleet
}

// showRollback writes one change for one service, a list for --all. The exit code says if any of it is not recorded.
func (a *app) showRollback(changes []*crossfadev1.Change, all bool, done string) error {
	var err error
	switch {
	case all || len(changes) != 1:
		err = a.showChanges(changes, done)
		if len(changes) == 0 {
			a.note("There was nothing to roll back.")
		}
	default:
		err = a.showChange(changes[0], done)
	}
	if err != nil {
		return err
	}
	for _, c := range changes {
		if !c.GetRecorded() {
			return &failure{exit: exitNotRecorded}
		}
	}
	return nil
}

// offerBreakGlass names the way that needs no server, where the server cannot be reached.
func (a *app) offerBreakGlass(err error, service, done string) error {
	f := a.failureAfter(err, done)
	if f.exit != exitUnavailable {
		return f
	}
	if service == "" {
		service = "SERVICE"
	}
	p := &f.problems[0]
	p.next = "to roll back without a server: shadowctl break-glass " + service + " -f FILE.yaml\n" + p.next
	return f
}
