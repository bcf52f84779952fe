package main

import (
	"context"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// lastRevisions is how much of the history a description shows.
const lastRevisions = 5

func newDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "describe KIND NAME", Short: "Show everything about a service, a fleet, an experiment or a rollout: settings, figures, proxies, last changes",
		Args: exactly("KIND", "NAME"), ValidArgsFunction: a.completeArgs(completeKind, completeNamed, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			kind, err := kindArg(args[0])
			if err != nil {
				return err
			}
			switch kind {
			case kindMirror:
				return a.describeMirror(ctx, args[1])
			case kindRollout:
				return a.describeRollout(ctx, args[1])
			}
			d, err := a.description(ctx, kind, args[1])
			if err != nil {
				return err
			}
			tree := manifest.Map()
			manifest.Put(tree, kind, manifest.Answer(d.got.GetDocument()))
			if d.got.GetStatus() != nil {
				manifest.Put(tree, "status", manifest.Answer(d.got.GetStatus()))
			}
			manifest.Put(tree, "proxies", answers(d.proxies))
			manifest.Put(tree, "history", answers(d.history))
			return a.show(tree, func() { a.sayDescription(d) })
		}),
	}
}

// description is what is known about one object.
type description struct {
	got     *crossfadev1.GetResponse
	fleets  []string
	proxies []*crossfadev1.Proxy
	history []*crossfadev1.Revision // of a service
}

func (a *app) description(ctx context.Context, kind, name string) (*description, error) {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kind, Name: name})
	if err != nil {
		return nil, err
	}
	d := &description{got: got, fleets: []string{name}}
	if kind == "service" {
		d.fleets = policy.Fleets(got.GetDocument().GetService())
		h, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListHistory, &crossfadev1.ListHistoryRequest{Service: name, PageSize: lastRevisions})
		if err != nil {
			return nil, err
		}
		d.history = h.GetItems()
	}
	d.proxies, err = a.proxiesOf(ctx, d.fleets)
	return d, err
}

func (a *app) sayDescription(d *description) {
	s := d.got.GetDocument().GetService()
	if s != nil {
		a.write(a.servicesTable([]*crossfadev1.ServiceStatus{d.got.GetStatus()}))
		a.say("\n%s, primary %s, on port %d of %s", a.paint("Origins", faint), s.GetPrimary(), port(s), ofFleets(d.fleets))
		a.write(originsTable(s, d.got.GetStatus().GetOrigins()))
		a.sayTroubled(d.got.GetStatus().GetOrigins())
		if len(s.GetPins()) > 0 {
			a.say("\n%s", a.paint("Pins", faint))
			a.write(pinsTable(s.GetPins()))
		}
	} else {
		a.write(fleetTable(d.got.GetDocument().GetFleet()))
	}
	a.say("\n%s", a.paint("Proxies of "+ofFleets(d.fleets), faint))
	if len(d.proxies) == 0 {
		a.say("none has connected yet")
	} else {
		a.sayProxies(d.proxies)
	}
	if len(d.history) > 0 {
		a.say("\n%s", a.paint("Last changes", faint))
		a.write(a.historyTable(d.history))
	}
	a.note("\nEverything that is set: shadowctl get %s %s -o yaml", kindWord(s), manifest.NameOf(d.got.GetDocument()))
}

func port(s *crossfadev1.Service) int32 {
	if p := s.GetListener().GetPort(); p != 0 {
		return p
	}
	return policy.DefaultPort
}

func kindWord(s *crossfadev1.Service) string {
	if s != nil {
		return "service"
	}
	return "fleet"
}
