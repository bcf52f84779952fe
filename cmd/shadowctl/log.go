package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

func newAdminCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "Look after the server itself: its log", Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newLogLevel(a))
	return cmd
}

var logLevels = []string{"debug", "info", "warn", "error"}

func newLogLevel(a *app) *cobra.Command {
	var d time.Duration
	cmd := &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Show or change how much the server's log tells",
		Long: `Show how much the server's log tells, or change it while it runs: debug, info, warn or error. With --for it goes back afterwards to what
the server was started with; without, it stays until the server ends. No level shows secrets or what is in requests.`,
		Example:   "  shadowctl admin log-level debug --for 10m",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: logLevels,
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.SetLogLevelRequest{}
			if len(args) > 0 {
				if !slices.Contains(logLevels, args[0]) {
					return badValue("bad_level", "LEVEL", args[0], "must be debug, info, warn or error")
				}
				req.Level = args[0]
			}
			if d != 0 {
				if d < time.Second || d > 24*time.Hour || req.Level == "" {
					return badFlag("for", d.String(), "must be at least 1s and at most 24h, and needs a level")
				}
				req.Duration = durationpb.New(d)
			}
			return a.logLevel(ctx, req)
		}),
	}
	cmd.Flags().DurationVar(&d, "for", 0, "go back after so `LONG`")
	return cmd
}

func (a *app) logLevel(ctx context.Context, req *crossfadev1.SetLogLevelRequest) error {
	c, err := a.admin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	out, err := c.SetLogLevel(ctx, req)
	if err != nil {
		return err
	}
	return a.show(manifest.Answer(out), func() {
		switch {
		case out.GetUntil() != nil:
			a.say("The log tells %s for %s, then %s.", out.GetLevel(), out.GetUntil().AsTime().Sub(a.now()).Round(time.Second), out.GetConfigured())
		case out.GetLevel() != out.GetConfigured():
			a.say("The log tells %s until the server ends; then %s.", out.GetLevel(), out.GetConfigured())
		default:
			a.say("The log tells %s.", out.GetLevel())
		}
	})
}
