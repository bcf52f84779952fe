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
)

func newExample(a *app) *cobra.Command {
	var discovery bool
	cmd := &cobra.Command{
		Use: "example service|fleet", Short: "Print a document to begin with",
		Long:    "Print a document to begin with: a service with addresses written by hand, or with --discovery one whose endpoints ECS and EKS name.",
		Example: "  shadowctl example service > orders.yaml\n  shadowctl example service --discovery > orders.yaml",
		Args:    exactly("KIND"), ValidArgs: []string{"service", "fleet"},
		RunE: a.do(func(_ context.Context, args []string) error {
			kind, err := kindArg(args[0])
			switch {
			case err != nil:
				return err
			case kind == "fleet" && discovery:
				return usage("bad_flag", "--discovery goes with a service: a fleet has no endpoints")
			case kind == "fleet":
				return a.print(exampleFleet)
			case discovery:
				return a.print(exampleDiscovery)
			}
			return a.print(exampleService)
		}),
	}
	cmd.Flags().BoolVar(&discovery, "discovery", false, "endpoints as ECS and EKS name them, in place of addresses")
	return cmd
}
