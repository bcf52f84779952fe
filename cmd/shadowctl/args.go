package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// exactly accepts as many arguments as names, and says which one is missing. Names in brackets may be left out.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return usageOf(cmd, "too many arguments: %q", strings.Join(args[len(names):], " "))
		}
		for _, name := range names[len(args):] {
			if !strings.HasPrefix(name, "[") {
				return usageOf(cmd, "%s is missing", name)
			}
		}
		return nil
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usageOf(cmd, "too many arguments: %q", strings.Join(args, " "))
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	f := usage("unknown_command", "%s has no command %q", cmd.CommandPath(), args[0])
	f.problems[0].next = fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	if near := manifest.Nearest(args[0], known); len(near) > 0 {
		f.problems[0].next = fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), near[0])
	}
	return f
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(commands...)
	return c
}

// kindArg reads KIND in singular or plural, in any case.
func kindArg(s string) (string, error) {
	switch strings.TrimSuffix(strings.ToLower(s), "s") {
	case "service", "svc":
		return "service", nil
	case "fleet":
		return "fleet", nil
	case kindMirror:
		return kindMirror, nil
	case kindRollout:
		return kindRollout, nil
	}
	return "", badValue("kind_unknown", "KIND", s, "must be service, fleet, mirror or rollout")
}
