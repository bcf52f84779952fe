package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// authVerbs are the words of can-i that completion offers. The server knows the names of methods as well.
var authVerbs = []string{
	"rollback", "split", "pin", "unpin", "undo", "set-primary", "apply", "delete", "accept", "mirror", "rollout", "canary",
	"approve", "reject", "pause", "resume", "abort", "promote",
	"get", "list", "diff", "fleet", "history", "watch", "route", "endpoints", "report", "apply-fleet", "delete-fleet",
}

func newAuth(a *app) *cobra.Command {
	return group("auth", "Show who you are to the server, and what you may do", newCanI(a), newWhoAmI(a))
}

func newCanI(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "can-i VERB [SERVICE]", Short: "Say whether you may do something: exit 0 yes, 10 no",
		Long: "Say whether you may do something to a service; without SERVICE, to all of them (what reads: whether there is anything to see).\n" +
			"A VERB is a word of shadowctl (rollback, split, apply, approve, …) or a method of the API (SetSplit).",
		Example: "  shadowctl auth can-i rollback orders\n  shadowctl auth can-i rollback && shadowctl rollback --all",
		Args:    exactly("VERB", "[SERVICE]"), ValidArgsFunction: a.completeArgs(completeVerb, completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.CanI, &crossfadev1.CanIRequest{Verb: args[0], Service: strings.Join(args[1:], "")})
			if err != nil {
				return err
			}
			answer := map[bool]string{true: "yes", false: "no"}[got.GetAllowed()]
			if err := a.show(manifest.Answer(got), func() { a.say("%s: %s", answer, oneLine(got.GetReason())) }); err != nil {
				return err
			}
			if !got.GetAllowed() {
				return &failure{exit: exitDenied}
			}
			return nil
		}),
	}
}

func completeVerb(context.Context, *app, []string) []string { return authVerbs }

func newWhoAmI(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show the name in your certificate as the server reads it, and your roles",
		Args: exactly(),
		RunE: a.do(func(ctx context.Context, _ []string) error {
			got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.CanI, &crossfadev1.CanIRequest{})
			if err != nil {
				return err
			}
			return a.show(whoTree(got), func() { a.sayWho(got) })
		}),
	}
}

// whoTree is an answer without what it says of a verb.
func whoTree(got *crossfadev1.CanIResponse) *yaml.Node {
	all, out := manifest.Answer(got), manifest.Map()
	for i := 0; i < len(all.Content); i += 2 {
		switch key := all.Content[i].Value; key {
		case "allowed", "reason", "method":
		default:
			manifest.Put(out, key, all.Content[i+1])
		}
	}
	return out
}

// sayWho says who the caller is, and the roles in a table.
func (a *app) sayWho(got *crossfadev1.CanIResponse) {
	if got.GetVerified() {
		a.say("%s, by your certificate", oneLine(got.GetName()))
	} else {
		a.say("%s, as you say: no certificate shows it", a.actor())
	}
	if !got.GetEnforced() {
		a.note("This server has no TLS: it asks for no roles but at gates of rollouts, and everybody may do everything else.")
		return
	}
	if len(got.GetRoles()) == 0 {
		a.note("You have no role: ask who runs the server to name you in the section roles of its settings.")
		return
	}
	t := &table{head: []string{"ROLE", "SERVICES"}}
	for _, r := range got.GetRoles() {
		services := strings.Join(r.GetServices(), ", ")
		if services == "" {
			services = "all"
		}
		t.row(r.GetRole(), services)
	}
	a.write(t)
}
