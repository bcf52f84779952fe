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
	//go:embed examples/fleet.yaml
	exampleFleet string
)

func newExample(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "example service|fleet", Short: "Print a document to begin with",
		Example: "  shadowctl example service > orders.yaml",
		Args:    exactly("KIND"), ValidArgs: []string{"service", "fleet"},
		RunE: a.do(func(_ context.Context, args []string) error {
			kind, err := kindArg(args[0])
			if err != nil {
				return err
			}
			if kind == "fleet" {
				return a.print(exampleFleet)
			}
			return a.print(exampleService)
		}),
	}
}
