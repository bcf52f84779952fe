package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	cmd := &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print a script that completes commands, services and origins in a shell",
		Long:    "Print a script that completes commands, services and origins in a shell. The names come from the server, if one answers\nwithin a second. In bash it needs the package bash-completion.",
		Example: "  source <(shadowctl completion bash)\n  source <(shadowctl completion zsh)\n  shadowctl completion fish | source",
		Args:    exactly("SHELL"), ValidArgs: shells,
	}
	cmd.RunE = a.do(func(_ context.Context, args []string) error {
		switch root := cmd.Root(); args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.out, true)
		case "zsh":
			return root.GenZshCompletion(a.out)
		case "fish":
			return root.GenFishCompletion(a.out, true)
		}
		return badValue("shell_unknown", "SHELL", args[0], "must be bash, zsh or fish")
	})
	return cmd
}
