package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// pageSize is how many objects are asked for at once.
const pageSize = 500

func newGet(a *app) *cobra.Command {
	var fleet string
	cmd := &cobra.Command{
		Use: "get KIND [NAME]", Short: "Show services with their split and live figures, settings of a fleet, experiments, or rollouts",
		Long: `Show services, experiments or rollouts, or one of them, or the settings of a fleet. KIND is service, fleet, mirror or rollout.

With -o yaml it writes documents that can be applied again; "get services -o yaml" is a backup of all of them.
Errors are answers with status 5xx or none at all. The figures are those of the last few seconds, over all fleets that serve it.`,
		Example: "  shadowctl get services\n  shadowctl get service orders -o yaml\n  shadowctl get fleet default",
		Args:    exactly("KIND", "[NAME]"), ValidArgsFunction: a.completeArgs(completeKind, completeNamed),
	}
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		kind, err := kindArg(args[0])
		switch {
		case err != nil:
			return err
		case len(args) == 2 && kind == kindRollout:
			return a.getRollout(ctx, args[1])
		case len(args) == 2:
			return a.getOne(ctx, kind, args[1])
		case kind == "fleet":
			f := usageOf(cmd, "NAME is missing: settings of fleets are shown one by one")
			f.problems[0].next = "`shadowctl fleet` shows the proxies of all fleets"
			return f
		case kind == kindMirror:
			return a.getMirrors(ctx)
		case kind == kindRollout:
			return a.getRollouts(ctx)
		default:
			return a.getServices(ctx, fleet)
		}
	})
	a.fleetFlag(cmd, &fleet, "only services of this `FLEET`, with the split and the figures that they have there")
	return cmd
}

func (a *app) getOne(ctx context.Context, kind, name string) error {
	got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kind, Name: name})
	if err != nil {
		return err
	}
	if a.output == "yaml" {
		return a.show(manifest.Node(got.GetDocument()), nil)
	}
	tree := manifest.Answer(got.GetDocument())
	if got.GetStatus() != nil {
		manifest.Put(tree, "status", manifest.Answer(got.GetStatus()))
	}
	return a.show(tree, func() {
		if got.GetStatus() != nil {
			one := []*crossfadev1.ServiceStatus{got.GetStatus()}
			a.write(a.servicesTable(one))
			a.sayTroubledOf(one)
			return
		}
		if m := got.GetDocument().GetMirror(); m != nil {
			a.say("mirror %s", oneLine(m.GetName()))
			a.sayMirror(m, nil)
			return
		}
		a.write(fleetTable(got.GetDocument().GetFleet()))
	})
}

func (a *app) getMirrors(ctx context.Context) error {
	if a.output != "yaml" {
		return a.showMirrors(ctx, "")
	}
	items, err := a.listMirrors(ctx, "")
	if err != nil {
		return err
	}
	var names []string
	for _, m := range items {
		names = append(names, m.GetMirror())
	}
	return a.export(ctx, kindMirror, names)
}

func fleetTable(f *crossfadev1.Fleet) *table {
	t := &table{head: []string{"FLEET", "TRUSTED HOPS", "PROXY PROTOCOL"}}
	on := "off"
	if f.GetProxyProtocol() {
		on = "on"
	}
	t.row(f.GetName(), fmt.Sprint(f.GetTrustedHops()), on)
	return t
}

func (a *app) getServices(ctx context.Context, fleet string) error {
	items, err := a.listServices(ctx, fleet)
	if err != nil {
		return err
	}
	if a.output == "yaml" {
		var names []string
		for _, s := range items {
			names = append(names, s.GetName())
		}
		return a.export(ctx, "service", names)
	}
	return a.show(page(items, ""), func() {
		if len(items) == 0 {
			a.noteNoService()
			return
		}
		a.write(a.servicesTable(items))
		a.sayTroubledOf(items)
	})
}

func (a *app) noteNoService() {
	a.note("There is no service yet. Begin with one:\n  shadowctl example service > service.yaml\n  shadowctl apply -f service.yaml")
}

// listServices reads every page.
func (a *app) listServices(ctx context.Context, fleet string) ([]*crossfadev1.ServiceStatus, error) {
	var items []*crossfadev1.ServiceStatus
	req := &crossfadev1.ListRequest{PageSize: pageSize, Fleet: fleet}
	for {
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.List, req)
		if err != nil {
			return nil, err
		}
		items = append(items, got.GetItems()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return items, nil
		}
	}
}

// export writes documents, so that an apply of them restores what is stored.
func (a *app) export(ctx context.Context, kind string, names []string) error {
	docs := make([]*yaml.Node, len(names))
	for i, name := range names {
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: kind, Name: name})
		if err != nil {
			return err
		}
		docs[i] = manifest.Node(got.GetDocument())
	}
	for i, d := range docs {
		if i > 0 {
			if err := a.print("---\n"); err != nil {
				return err
			}
		}
		if err := a.show(d, nil); err != nil {
			return err
		}
	}
	return nil
}

// servicesTable has a row for each origin; what concerns the service as a whole stands in the first and at the end of the second.
func (a *app) servicesTable(items []*crossfadev1.ServiceStatus) *table {
	t := &table{head: []string{"NAME", "HOSTS", "SPLIT", "REQ/S", "ERRORS", "P99", "LAST CHANGE"}}
	for _, s := range items {
		first, last := len(t.rows), []cell{{text: a.changeWords(s)}, stateRemarks(s)}
		for i, o := range byWeight(s.GetSplit()) {
			name, hosts, remark := "", "", cell{}
			if i == 0 {
				name, hosts = s.GetName(), hostWords(s.GetHosts())
			}
			if i < len(last) {
				remark = last[i]
			}
			rps, errs, p99 := trafficCells(s.GetTraffic()[o])
			t.row(name, hosts, o+" "+policy.FormatWeight(policy.BasisPoints(s.GetSplit()[o])), rps, errs, p99, remark)
		}
		if len(t.rows) == first {
			t.row(s.GetName(), hostWords(s.GetHosts()), "-", "", "", "", last[0])
		}
	}
	return t
}

// stateRemarks is what one should know of a service before touching it.
func stateRemarks(s *crossfadev1.ServiceStatus) cell {
	words := "primary " + s.GetPrimary()
	if len(s.GetPins()) > 0 {
		words += "; pins on: " + few(s.GetPins())
	}
	if len(s.GetRolledBackIn()) > 0 && !s.GetRolledBack() {
		return cell{words + "; rolled back in " + few(s.GetRolledBackIn()) + ", so the primary has everything there", yellow}
	}
	if s.GetRolledBack() {
		return cell{words + "; rolled back, so an apply may not raise other origins", yellow}
	}
	return cell{words, faint}
}

func hostWords(hosts []string) string {
	if len(hosts) < 2 {
		return strings.Join(hosts, "")
	}
	return fmt.Sprintf("%s +%d", hosts[0], len(hosts)-1)
}

// worryingErrors is the share of errors that is shown in red. It is a colour, not a rule.
const worryingErrors = 0.005

func trafficCells(t *crossfadev1.OriginTraffic) (rps, errs, p99 cell) {
	none := cell{"-", faint}
	if t == nil {
		return none, none, none
	}
	rps, errs, p99 = cell{text: rate(t.GetRps())}, none, none
	if t.GetRequests() > 0 || t.GetRps() > 0 {
		errs = cell{text: share(t.GetErrorRate())}
		if t.GetErrorRate() > worryingErrors {
			errs.color = red
		}
	}
	if t.P99Ms != nil {
		p99 = cell{text: milliseconds(t.GetP99Ms())}
	}
	return rps, errs, p99
}

// changeWords is who changed a service last, when and why.
func (a *app) changeWords(s *crossfadev1.ServiceStatus) string {
	if s.GetChanged() == nil {
		return "-"
	}
	words := a.ago(s.GetChanged()) + " " + s.GetChangedBy() + ": " + s.GetAction()
	if s.GetReason() != "" {
		words += ` "` + s.GetReason() + `"`
	}
	return words
}
