package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func newSplit(a *app) *cobra.Command {
	return group("split", "Divide requests over origins", newSplitSet(a))
}

func newSplitSet(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "set SERVICE ORIGIN=PERCENT…", Short: "Set the share of requests that each origin gets",
		Long:    "Set the share of requests that each origin gets, in steps of 0.01%.\nWith two origins one is enough: the other gets the rest. Origins left out get 0%; all add up to 100%.\nMore than the endpoints of an origin that are ready can take is refused (exit 9), unless --force is given.",
		Example: "  shadowctl split set orders eks=10%\n  shadowctl split set orders ecs=87.5% eks=12.5% --reason \"second step\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exactly("SERVICE", "ORIGIN=PERCENT")(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: a.completeArgs(completeService, completeWeight),
		RunE: a.do(func(ctx context.Context, args []string) error {
			weights, err := parseWeights(args[1:])
			if err != nil {
				return err
			}
			req := &crossfadev1.SetSplitRequest{Service: args[0], Weights: weights, Options: a.options()}
			req.Options.Force = force
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.SetSplit, req, args[0])
			if err != nil {
				return err
			}
			return a.showChange(out.GetChange(), "")
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if an origin has too few endpoints ready for its share")
	return cmd
}

// parseWeights reads ORIGIN=PERCENT words. Which origins there are is the server's to say.
func parseWeights(words []string) (map[string]int32, error) {
	weights := map[string]int32{}
	for _, word := range words {
		origin, percent, ok := strings.Cut(word, "=")
		if !ok || origin == "" {
			return nil, badValue("weight_syntax", "", word, "must be ORIGIN=PERCENT, for example eks=10%")
		}
		if _, twice := weights[origin]; twice {
			return nil, badValue("weight_twice", origin, word, "this origin is given twice")
		}
		weight, err := policy.ParseWeight(percent)
		if pe := (*policy.Error)(nil); errors.As(err, &pe) {
			pe.Field = origin
			return nil, &failure{exit: exitInvalid, problems: []problem{{code: pe.Code, field: origin, value: pe.Value, message: pe.Message, next: pe.Next}}}
		}
		if err != nil {
			return nil, fmt.Errorf("read weight: %w", err)
		}
		weights[origin] = int32(weight)
	}
	return weights, nil
}
