package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newFleet(a *app) *cobra.Command {
	var fleet string
	cmd := &cobra.Command{
		Use: "fleet", Short: "Show the proxies: connected, up to date, refusing?",
		Long: `Show every proxy with what it acknowledged of what it should have.

States: ok; pending (not there yet); refused (Envoy's words follow); override (somebody set runtime keys by hand); lost (seen within
24 h, not connected now); incompatible (its bootstrap lacks something); duplicate (two proxies with one id); unknown-fleet; held.

CERTIFICATES says for how long all certificates hold that the proxy shows to clients, to origins and to the control plane, by its last report.
Below 14 days the detail says so; the state stays.

Below them stand the origins whose endpoints need a look: a shrink that is held until it is accepted, a source that cannot be asked, or
no endpoint at all.`,
		Args: exactly(),
		RunE: a.do(func(ctx context.Context, _ []string) error {
			items, origins, err := a.listProxies(ctx, fleet)
			if err != nil {
				return err
			}
			tree := page(items, "")
			putOrigins(tree, origins)
			return a.show(tree, func() {
				if len(items) > 0 {
					a.sayProxies(items)
				}
				a.sayTroubled(origins)
				if len(items) == 0 {
					a.note("No proxy has connected yet.")
					a.adviseFleet(ctx, dashDefault(fleet))
				}
			})
		}),
	}
	a.fleetFlag(cmd, &fleet, "only proxies of this `FLEET`")
	return cmd
}

// fleetFlag adds --fleet, with the names of fleets that serve something offered for completion.
func (a *app) fleetFlag(cmd *cobra.Command, into *string, usage string) {
	cmd.Flags().StringVar(into, "fleet", "", usage)
	_ = cmd.RegisterFlagCompletionFunc("fleet", a.completeArgs(completeFleet)) // the flag exists
}

// proxiesOf reads the proxies of several fleets.
func (a *app) proxiesOf(ctx context.Context, fleets []string) ([]*crossfadev1.Proxy, error) {
	var all []*crossfadev1.Proxy
	for _, fleet := range fleets {
		items, _, err := a.listProxies(ctx, fleet)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
	}
	return all, nil
}

// listProxies reads every page, and which origins need a look.
func (a *app) listProxies(ctx context.Context, fleet string) (items []*crossfadev1.Proxy, origins []*crossfadev1.OriginStatus, _ error) {
	req := &crossfadev1.ListProxiesRequest{PageSize: pageSize, Fleet: fleet}
	for {
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListProxies, req)
		if err != nil {
			return nil, nil, err
		}
		items, origins = append(items, got.GetItems()...), append(origins, got.GetOrigins()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return items, origins, nil
		}
	}
}

func (a *app) proxiesTable(items []*crossfadev1.Proxy) *table {
	t := &table{head: []string{"PROXY", "FLEET", "STATE", "ENVOY", "REVISION", "BEHIND", "SEEN", "CERTIFICATES", "DETAIL"}}
	certified := slices.ContainsFunc(items, func(p *crossfadev1.Proxy) bool { return p.GetCertificateExpiry() != nil })
	if !certified {
		t.head = slices.Delete(t.head, certificatesColumn, certificatesColumn+1)
	}
	for _, p := range items {
		seen := "connected"
		if !p.GetConnected() {
			seen = a.ago(p.GetLastSeen())
		}
		row := []any{p.GetProxy(), p.GetFleet(), stateCell(p.GetState()), dash(p.GetVersion()), revisionWords(p), behind(p), seen}
		if certified {
			row = append(row, a.certificatesCell(p.GetCertificateExpiry()))
		}
		t.row(append(row, p.GetDetail())...)
	}
	return t
}

// certificatesColumn is the place of CERTIFICATES, which is there only where some proxy has one.
const certificatesColumn = 7

// expiresSoon is how long before its end a certificate is written in yellow; the server's warning comes as early.
const expiresSoon = 14 * 24 * time.Hour

// certificatesCell says for how long certificates hold: "23d", "5h", "ended"; "-" where nothing is known.
func (a *app) certificatesCell(ends *timestamppb.Timestamp) cell {
	if ends == nil {
		return cell{"-", faint}
	}
	switch left := ends.AsTime().Sub(a.now()); {
	case left <= 0:
		return cell{"ended", red}
	case left < expiresSoon:
		return cell{short(left), yellow}
	default:
		return cell{text: short(left)}
	}
}

func stateCell(state string) cell {
	switch state {
	case "ok":
		return cell{state, green}
	case "pending":
		return cell{state, yellow}
	case "":
		return cell{"-", faint}
	default:
		return cell{state, red}
	}
}

func revisionWords(p *crossfadev1.Proxy) string {
	if p.GetAckedRevision() == p.GetWantedRevision() {
		return fmt.Sprint(p.GetAckedRevision())
	}
	return fmt.Sprintf("%d of %d", p.GetAckedRevision(), p.GetWantedRevision())
}

func behind(p *crossfadev1.Proxy) string {
	if p.GetLagMs() <= 0 {
		return "-"
	}
	return milliseconds(p.GetLagMs())
}

// refusalWords is the last refusal of a proxy, in Envoy's words; empty if there is none.
func refusalWords(p *crossfadev1.Proxy) string {
	n := p.GetLastNack()
	if n == nil {
		return ""
	}
	return "refused " + n.GetType() + " " + n.GetResource() + ": " + n.GetMessage()
}

// sayProxies writes the table, and below it, uncut, what was refused.
func (a *app) sayProxies(items []*crossfadev1.Proxy) {
	a.write(a.proxiesTable(items))
	for _, p := range items {
		if words := refusalWords(p); words != "" {
			a.say("%s %s (%s)", p.GetProxy(), oneLine(words), a.ago(p.GetLastNack().GetTime()))
		}
	}
}
