package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const rootHelp = `shadowctl shifts traffic between the origins of a service (say, "ecs" and "eks") and takes it back.

At 3 a.m.:
  shadowctl rollback orders        everything to the primary, at once, with proof
  shadowctl rollback --all         the same for every service
  shadowctl get services           where traffic is now, with errors and latency
  shadowctl break-glass orders     the commands for each proxy, if the server is down`

const exitHelp = `
Exit codes: 0 ok, 1 internal, 2 bad input, 3 revision conflict, 4 not found, 5 unavailable, 6 refused by a proxy,
7 waited too long (the change stands), 8 verdict Fail or rolled back, 9 held or verdict Inconclusive, 10 denied, 11 applied but not recorded.
`

// The groups of the help.
const (
	groupTraffic = "traffic"
	groupLook    = "look"
	groupDefine  = "define"
	groupRun     = "run"
)

// newRoot builds the whole tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "shadowctl", Short: "Shift traffic between origins, and take it back", Long: rootHelp,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkFlags(cmd) },
		Args:              noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddGroup(
		&cobra.Group{ID: groupTraffic, Title: "Move traffic:"}, &cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupDefine, Title: "Define services:"}, &cobra.Group{ID: groupRun, Title: "Run:"},
	)
	root.SetHelpCommandGroupID(groupRun)
	root.SetFlagErrorFunc(flagFailure)
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	a.globalFlags(root)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	cobra.EnableCommandSorting = false // help lists commands in this order
	add(groupTraffic, newRollback(a), newSplit(a), newRollout(a), newPin(a), newUndo(a), newService(a), newBreakGlass(a))
	add(groupLook, newGet(a), newDescribe(a), newFleet(a), newEndpoints(a), newMirror(a), newHistory(a), newWatch(a), newRoute(a), newAuth(a))
	add(groupDefine, newExample(a), newValidate(a), newDiff(a), newApply(a), newDelete(a))
	add(groupRun, newBootstrap(a), newBackup(a), newSupportBundle(a), newAdminCommand(a), newVersion(a), newCompletion(a))
	return root
}

// usageTemplate adds the exit codes, and leaves out the usage of commands that only hold others.
func usageTemplate(original string) string {
	return strings.Replace(original, "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1) +
		"{{if not .HasParent}}" + exitHelp + "{{end}}"
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "`HOST:PORT` of the server (default $CROSSFADE_SERVER, else "+defaultServer+")")
	f.StringVar(&a.tlsGiven.ca, "tls-ca", "", "speak TLS to the server, which has a certificate of these authorities, a `FILE` of PEM (default $CROSSFADE_TLS_CA)")
	f.StringVar(&a.tlsGiven.cert, "tls-cert", "", "show the server this certificate, a `FILE` of PEM (default $CROSSFADE_TLS_CERT)")
	f.StringVar(&a.tlsGiven.key, "tls-key", "", "its key, a `FILE` of PEM (default $CROSSFADE_TLS_KEY)")
	f.StringVar(&a.tlsGiven.serverName, "tls-server-name", "", "`NAME` in the server's certificate, where it is not the host of --server: a host or a SPIFFE id (default $CROSSFADE_TLS_SERVER_NAME)")
	f.StringVarP(&a.output, "output", "o", "table", "`FORMAT` of the result: table, json or yaml")
	f.StringVar(&a.reason, "reason", "", "why: a `TEXT` for the history")
	f.StringVar(&a.wait, "wait", "", "what a change waits `FOR`: none, acked or proven (default acked; rollback: proven)")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how `LONG` to wait at most; a change stands afterwards")
	f.Int64Var(&a.expectRevision, "expect-revision", 0, "refuse the change unless the service's last revision is `N`")
	f.StringVar(&a.idempotencyKey, "idempotency-key", "", "the same `KEY` within 24 h makes the change once (default: a new one)")
	complete := func(flag string, values ...string) {
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	}
	_ = root.RegisterFlagCompletionFunc("output", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) { // the flag exists
		return outputs(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	complete("wait", "none", "acked", "proven")
	complete("server")
	complete("tls-server-name")
	complete("reason")
	complete("timeout")
	complete("expect-revision")
	complete("idempotency-key")
}

// outputs are the forms of output that a command has.
func outputs(cmd *cobra.Command) []string {
	forms := []string{"table", "json", "yaml"}
	if _, ok := cmd.Annotations[takesMarkdown]; ok {
		forms = append(forms, markdown)
	}
	return forms
}

// checkFlags refuses global flags that make no sense, before any command runs.
func (a *app) checkFlags(cmd *cobra.Command) error {
	if forms := outputs(cmd); !slices.Contains(forms, a.output) {
		given, last := a.output, len(forms)-1
		a.output = "table"
		return badFlag("output", given, "must be "+strings.Join(forms[:last], ", ")+" or "+forms[last])
	}
	switch a.wait {
	case "", "none", "acked", "proven":
	default:
		return badFlag("wait", a.wait, "must be none, acked or proven")
	}
	if a.timeout <= 0 || a.timeout > time.Hour {
		return badFlag("timeout", a.timeout.String(), "must be more than 0 and at most 1h")
	}
	if a.expectRevision < 0 {
		return badFlag("expect-revision", fmt.Sprint(a.expectRevision), "must not be negative")
	}
	return nil
}
