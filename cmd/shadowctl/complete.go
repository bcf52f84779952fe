package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// completeWithin bounds how long a press of the tab key may wait for the server.
const completeWithin = time.Second

// completer offers words for one argument, given those before it.
type completer func(ctx context.Context, a *app, before []string) []string

// completeArgs makes the completion of a command from one completer for each argument; the last one serves all further ones.
func (a *app) completeArgs(each ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(each) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		a.timeout = completeWithin
		var out []string
		directive := cobra.ShellCompDirectiveNoFileComp
		for _, offer := range each[min(len(args), len(each)-1)](ctx, a, args) {
			if strings.HasPrefix(offer, word) {
				out = append(out, offer)
				if strings.HasSuffix(offer, "=") {
					directive |= cobra.ShellCompDirectiveNoSpace
				}
			}
		}
		return out, directive
	}
}

func completeNothing(context.Context, *app, []string) []string { return nil }

func completeKind(context.Context, *app, []string) []string {
	return []string{"service", "services", "fleet", kindMirror, "mirrors", kindRollout, "rollouts"}
}

// completeNamed offers the names of what a KIND says. Those of fleets are not known: they are whatever proxies say.
func completeNamed(ctx context.Context, a *app, before []string) []string {
	switch kind, _ := kindArg(before[0]); kind {
	case "service":
		return completeService(ctx, a, nil)
	case kindMirror:
		return completeMirror(ctx, a, nil)
	case kindRollout:
		return completeRollouts(anyRollout)(ctx, a, nil)
	}
	return nil
}

// completeService offers the names of services, with what they carry.
func completeService(ctx context.Context, a *app, _ []string) []string {
	items, err := a.listServices(ctx, "")
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range items {
		names = append(names, s.GetName()+"\t"+splitWords(s.GetSplit()))
	}
	return names
}

// completeFleet offers the fleets that serve something.
func completeFleet(ctx context.Context, a *app, _ []string) []string {
	items, err := a.listServices(ctx, "")
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range items {
		names = append(append(names, s.GetFleets()...), s.GetFleet())
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// completeOrigin offers the origins of the service in the first argument.
func completeOrigin(ctx context.Context, a *app, before []string) []string {
	s := serviceFor(ctx, a, before)
	var names []string
	for _, o := range s.GetOrigins() {
		names = append(names, o.GetName())
	}
	return names
}

// completeWeight offers "ORIGIN=" for the origins not given yet.
func completeWeight(ctx context.Context, a *app, before []string) []string {
	var out []string
	for _, o := range completeOrigin(ctx, a, before) {
		given := false
		for _, b := range before[1:] {
			given = given || strings.HasPrefix(b, o+"=")
		}
		if !given {
			out = append(out, o+"=")
		}
	}
	return out
}

// completePin offers the pins of the service in the first argument.
func completePin(ctx context.Context, a *app, before []string) []string {
	var names []string
	for _, p := range serviceFor(ctx, a, before).GetPins() {
		names = append(names, p.GetName())
	}
	return names
}

func serviceFor(ctx context.Context, a *app, before []string) *crossfadev1.Service {
	if len(before) == 0 {
		return nil
	}
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: "service", Name: before[0]})
	if err != nil {
		return nil
	}
	return got.GetDocument().GetService()
}
