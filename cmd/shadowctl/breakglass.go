package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// glass is what to do by hand.
type glass struct {
	files
	admin, origin string
	keepPins      bool

	service *policy.Service
	proxies []*crossfadev1.Proxy // of its fleets; nil: not known
}

func newBreakGlass(a *app) *cobra.Command {
	var g glass
	cmd := &cobra.Command{
		Use: "break-glass SERVICE", Short: "Print the commands that roll back at each proxy, without the server",
		Long: `Print the exact commands that send everything to the primary by hand, at each proxy's own admin interface, and those that
undo it. It changes nothing itself. The output is a shell script, to be run on the proxies' hosts.

What is set by hand beats the control plane until it is undone or the proxy restarts; meanwhile "fleet" shows "override".
With -f it reads the service from a file and asks no server.`,
		Example: "  shadowctl break-glass orders -f orders.yaml\n  shadowctl break-glass orders --origin eks",
		Args:    exactly("SERVICE"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := a.breakGlass(ctx, &g, args[0]); err != nil {
				return err
			}
			return a.show(g.tree(), func() { a.sayGlass(&g) })
		}),
	}
	g.flag(cmd, "read the service from")
	cmd.Flags().StringVar(&g.admin, "admin", envoy.DefaultAdminAddress, "`IP:PORT` of the admin interface, on each proxy's host")
	cmd.Flags().StringVar(&g.origin, "origin", "", "the `ORIGIN` that gets everything (default: the primary)")
	cmd.Flags().BoolVar(&g.keepPins, "keep-pins", false, "leave pins to other origins as they are")
	return cmd
}

// breakGlass finds the service, from files or from the server, and the proxies that the server knows.
func (a *app) breakGlass(ctx context.Context, g *glass, name string) error {
	if _, err := netip.ParseAddrPort(g.admin); err != nil {
		return badFlag("admin", g.admin, "must be IP:PORT")
	}
	doc, err := a.glassDocument(ctx, g, name)
	if err != nil {
		return err
	}
	service, errs := policy.CompileService(doc)
	if errs != nil {
		return errs
	}
	if g.service = service; g.origin == "" {
		g.origin = service.Primary
	}
	for _, o := range service.Origins {
		if o.Name == g.origin {
			return nil
		}
	}
	return badFlag("origin", g.origin, "the service has no origin of this name; its origins are "+strings.Join(service.OriginNames(), ", "))
}

func (a *app) glassDocument(ctx context.Context, g *glass, name string) (*crossfadev1.Service, error) {
	if len(g.names) > 0 {
		docs, err := a.readDocuments(g.names)
		if err != nil {
			return nil, err
		}
		for i, d := range docs {
			if s := d.GetService(); s.GetName() == name {
				a.docs = a.docs[i : i+1]
				return s, nil
			}
		}
		return nil, &failure{exit: exitNotFound, problems: []problem{{code: "not_found", field: "SERVICE", value: name, message: "the files describe no service of this name"}}}
	}
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: "service", Name: name})
	if err != nil {
		f := a.failureOf(err)
		if f.exit == exitUnavailable {
			f.problems[0].next = "without a server, give the service's file: shadowctl break-glass " + name + " -f FILE.yaml"
		}
		return nil, f
	}
	g.proxies, err = a.proxiesOf(ctx, policy.Fleets(got.GetDocument().GetService()))
	return got.GetDocument().GetService(), err
}

// settings are the runtime keys with the values that they get; an empty value gives the key back to the control plane.
func (g *glass) settings() []struct{ key, value string } {
	var out []struct{ key, value string }
	add := func(key, value string) { out = append(out, struct{ key, value string }{key, value}) }
	add(policy.WeightKey(g.service.Name, g.origin), fmt.Sprint(int(policy.Whole)))
	for _, o := range g.service.Origins {
		if o.Name != g.origin {
			add(policy.WeightKey(g.service.Name, o.Name), "0")
		}
	}
	if r := g.service.Retries; r != nil && r.OtherOrigin != nil {
		add(g.service.OtherOriginKey(), "0")
		for _, o := range g.service.Origins {
			add(policy.OtherTriesKey(g.service.Name, o.Name), "0")
		}
	}
	for _, p := range g.service.Pins {
		if p.Origin != g.origin && !g.keepPins {
			add(policy.PinKey(g.service.Name, p.Name), "0")
		}
	}
	return out
}

// command sets all keys in one call, so that the weights hold together at every moment.
func (g *glass) command(undo bool) string {
	var pairs []string
	for _, s := range g.settings() {
		if undo {
			s.value = ""
		}
		pairs = append(pairs, s.key+"="+s.value)
	}
	return fmt.Sprintf("curl -fsS -X POST 'http://%s/runtime_modify?%s'", g.admin, strings.Join(pairs, "&"))
}

func (a *app) sayGlass(g *glass) {
	a.say("# %s: 100%% %s, by hand, at every proxy of %s.", g.service.Name, g.origin, ofFleets(g.service.Fleets))
	a.say("# Run it on each proxy's host. It answers OK. That each admin interface listens on %s is assumed; for others: --admin.", g.admin)
	if len(g.proxies) == 0 {
		a.say("%s", g.command(false))
	}
	for _, p := range g.proxies {
		a.say("\n# at proxy %s%s", oneLine(p.GetProxy()), glassRemark(p))
		a.say("%s", g.command(false))
	}
	a.say("\n# To undo it, once the server is back: first make the server say the same, then give each proxy back to it (on each host):")
	a.say("# shadowctl rollback %s", g.service.Name)
	a.say("# %s", g.command(true))
	a.say("# shadowctl rollback %s     (once more: now with proof)", g.service.Name)
}

// glassRemark warns where the command does not reach, or reaches what is out of sight.
func glassRemark(p *crossfadev1.Proxy) string {
	switch {
	case p.GetState() == "incompatible":
		return " (incompatible: its weights stand in its routes, so THIS DOES NOT CHANGE IT; take it out of the load balancer)"
	case !p.GetConnected():
		return " (not connected; if it runs, it still serves what it last had)"
	default:
		return ""
	}
}

// tree is the form for scripts. The commands are the same for all proxies.
func (g *glass) tree() *yaml.Node {
	out, proxies := manifest.Map(), manifest.List()
	for _, p := range g.proxies {
		proxies.Content = append(proxies.Content, manifest.Str(p.GetProxy()))
	}
	manifest.Put(out, "service", manifest.Str(g.service.Name))
	manifest.Put(out, "origin", manifest.Str(g.origin))
	manifest.Put(out, "fleet", manifest.Str(strings.Join(g.service.Fleets, ",")))
	manifest.Put(out, "proxies", proxies)
	manifest.Put(out, "command", manifest.Str(g.command(false)))
	manifest.Put(out, "undo", manifest.Str(g.command(true)))
	return out
}
