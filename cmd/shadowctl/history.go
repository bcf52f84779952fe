package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func newHistory(a *app) *cobra.Command {
	var limit int32
	var pageToken string
	cmd := &cobra.Command{
		Use: "history [SERVICE]", Short: "Show who changed what, when and why, newest first",
		Args: exactly("[SERVICE]"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if limit < 1 || limit > 1000 {
				return badFlag("limit", fmt.Sprint(limit), "must be 1 to 1000")
			}
			req := &crossfadev1.ListHistoryRequest{PageSize: limit, PageToken: pageToken, Service: strings.Join(args, "")}
			got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListHistory, req)
			if err != nil {
				return err
			}
			return a.show(page(got.GetItems(), got.GetNextPageToken()), func() { a.sayHistory(got) })
		}),
	}
	cmd.Flags().Int32Var(&limit, "limit", 20, "at most `N` revisions")
	cmd.Flags().StringVar(&pageToken, "page-token", "", "go on where an earlier answer ended: its nextPageToken")
	return cmd
}

func (a *app) sayHistory(got *crossfadev1.ListHistoryResponse) {
	if len(got.GetItems()) == 0 {
		a.note("Nothing has been changed yet.")
		return
	}
	a.write(a.historyTable(got.GetItems()))
	for _, r := range got.GetItems() {
		if !r.GetVerified() {
			a.note("* who: as they said, not verified")
			break
		}
	}
	if got.GetNextPageToken() != "" {
		a.note("There is more: --page-token %s, or a larger --limit", got.GetNextPageToken())
	}
}

func (a *app) historyTable(items []*crossfadev1.Revision) *table {
	t := &table{head: []string{"REV", "TIME (UTC)", "WHO", "SERVICE", "ACTION", "ACKED", "CHANGE"}}
	for _, r := range items {
		who, change := dash(r.GetWho()), revisionChange(r)
		if !r.GetVerified() {
			who += " *"
		}
		if r.GetReason() != "" {
			change += ` "` + r.GetReason() + `"`
		}
		revision, object := fmt.Sprint(r.GetRevision()), objectName(r)
		if r.GetDenied() != nil {
			revision, object = "-", dash(object)
		}
		t.row(revision, r.GetTime().AsTime().UTC().Format("2006-01-02 15:04:05"), who,
			object, r.GetAction(), confirmed(r.GetFleet()), change)
	}
	return t
}

func objectName(r *crossfadev1.Revision) string {
	switch r.GetKind() {
	case policy.KindFleet:
		return "fleet " + r.GetService()
	case policy.KindMirror:
		return "mirror " + r.GetService()
	case policy.KindRollout:
		return "rollout " + r.GetService()
	}
	return r.GetService()
}

// confirmed says how many proxies acknowledged, "-" where nobody waited for them.
func confirmed(f *crossfadev1.FleetState) cell {
	if f == nil {
		return cell{"-", faint}
	}
	c := cell{text: fmt.Sprintf("%d/%d", f.GetAcked(), f.GetConnected())}
	switch {
	case len(f.GetRefused()) > 0:
		c.color = red
	case f.GetAcked() < f.GetConnected():
		c.color = yellow
	}
	return c
}

// rollbackWords says in which single fleets a service was rolled back, or is no longer.
func rollbackWords(before, after *crossfadev1.Service) string {
	names := func(doc, other *crossfadev1.Service) (out []string) {
		for _, r := range doc.GetRolledBackIn() {
			if !slices.ContainsFunc(other.GetRolledBackIn(), func(o *crossfadev1.FleetRollback) bool { return o.GetFleet() == r.GetFleet() }) {
				out = append(out, r.GetFleet())
			}
		}
		return out
	}
	if in := names(after, before); len(in) > 0 {
		return "rolled back in " + few(in)
	}
	if in := names(before, after); len(in) > 0 {
		return "no longer rolled back in " + few(in)
	}
	return ""
}

// deniedWords say what was refused, and how often.
func deniedWords(d *crossfadev1.Denied) string {
	out := d.GetMethod()
	if d.GetRole() != "" {
		out += ", which needs role " + d.GetRole()
	}
	if d.GetCount() > 1 {
		out += fmt.Sprintf(" (%d times until %s)", d.GetCount(), d.GetLast().AsTime().UTC().Format("15:04:05"))
	}
	return out
}

// revisionChange says what a revision changed: the split where that moved, else the fields.
func revisionChange(r *crossfadev1.Revision) string {
	before, after := r.GetBefore(), r.GetAfter()
	switch {
	case r.GetDenied() != nil:
		return deniedWords(r.GetDenied())
	case manifest.Object(after) == nil:
		return "deleted"
	case after.GetRollout() != nil:
		return rolloutChange(before.GetRollout(), after.GetRollout())
	case manifest.Object(before) == nil && after.GetService() != nil:
		return "created, " + splitWords(policy.Weights(after.GetService()))
	case manifest.Object(before) == nil:
		return "created"
	}
	if b, s := before.GetService(), after.GetService(); b != nil && s != nil {
		if from, to := splitWords(policy.Weights(b)), splitWords(policy.Weights(s)); from != to {
			return from + " → " + to + causeWords(r.GetCause())
		}
		if words := rollbackWords(b, s); words != "" {
			return words
		}
	}
	var fields []string
	for _, f := range policy.Diff(manifest.Object(before), manifest.Object(after)) {
		field, _, _ := strings.Cut(f.GetField(), ".")
		field, _, _ = strings.Cut(field, "[")
		if !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	return dash(few(fields))
}
