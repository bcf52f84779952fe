package main

import (
	"context"

	"github.com/spf13/cobra"

	_ "embed"
)

// The examples are files, so that they are read as they are written. A test applies them.
var (
	//go:embed examples/service.yaml
	exampleService string
	//go:embed examples/discovery.yaml
	exampleDiscovery string
	//go:embed examples/fleet.yaml
	exampleFleet string
	//go:embed examples/mirror.yaml
	exampleMirror string
	//go:embed examples/rollout.yaml
	exampleRollout string
)

func newExample(a *app) *cobra.Command {
	var discovery bool
	cmd := &cobra.Command{
		Use: "example service|fleet|mirror|rollout", Short: "Print a document to begin with",
		Long:    "Print a document to begin with: a service with addresses written by hand, or with --discovery one whose endpoints ECS and EKS name; an experiment; a rollout; the settings of a fleet.",
		Example: "  shadowctl example service > orders.yaml\n  shadowctl example service --discovery > orders.yaml",
		Args:    exactly("KIND"), ValidArgs: []string{"service", "fleet", kindMirror, kindRollout},
		RunE: a.do(func(_ context.Context, args []string) error {
			kind, err := kindArg(args[0])
			switch {
			case err != nil:
				return err
			case kind != "service" && discovery:
				return usage("bad_flag", "--discovery goes with a service: a %s has no endpoints", kind)
			case kind == "fleet":
				return a.print(exampleFleet)
			case kind == kindMirror:
				return a.print(exampleMirror)
			case kind == kindRollout:
				return a.print(exampleRollout)
			case discovery:
				return a.print(exampleDiscovery)
			}
			return a.print(exampleService)
		}),
	}
	cmd.Flags().BoolVar(&discovery, "discovery", false, "endpoints as ECS and EKS name them, in place of addresses")
	return cmd
}
