package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

func newEndpoints(a *app) *cobra.Command {
	return group("endpoints", "Show where the origins take requests, and accept that endpoints are gone",
		newEndpointsList(a), newEndpointsWatch(a), newEndpointsAccept(a))
}

// endpointsQuery is what `endpoints list` is asked for.
type endpointsQuery struct {
	service, origin string
	limit           int32
	pageToken       string
	summary         bool
}

func newEndpointsList(a *app) *cobra.Command {
	var q endpointsQuery
	cmd := &cobra.Command{
		Use: "list [SERVICE [ORIGIN]]", Short: "Show the endpoints of origins: health, state, age and source",
		Long: `Show the endpoints of all origins, of a service or of one origin, and below them what is wrong with their sources.

States of an endpoint: ready; draining (finishes what it has); held (its source no longer names it, which is not believed yet: it is
used like a ready one). AGE is how long ago its source last named it.
States of an origin: ok; waiting (its source has not answered yet); failing (its source cannot be asked: what was known last is used);
held; empty (it has no endpoint that takes requests); resolved (each proxy looks the name up by itself).`,
		Example: "  shadowctl endpoints list\n  shadowctl endpoints list orders eks\n  shadowctl endpoints list --summary",
		Args:    exactly("[SERVICE]", "[ORIGIN]"), ValidArgsFunction: a.completeArgs(completeService, completeOrigin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			q.service, q.origin = originArgs(args)
			switch {
			case q.limit < 0:
				return badFlag("limit", fmt.Sprint(q.limit), "must not be negative")
			case q.summary && (q.limit > 0 || q.pageToken != ""):
				return badFlag("summary", "", "shows every origin: --limit and --page-token do not go with it")
			}
			return a.listEndpoints(ctx, q)
		}),
	}
	cmd.Flags().BoolVar(&q.summary, "summary", false, "one line for each origin, with the number of its endpoints")
	cmd.Flags().Int32Var(&q.limit, "limit", 0, "at most `N` endpoints (default: all)")
	cmd.Flags().StringVar(&q.pageToken, "page-token", "", "go on where an earlier answer ended: its nextPageToken")
	return cmd
}

// originArgs are the arguments [SERVICE [ORIGIN]].
func originArgs(args []string) (service, origin string) {
	if len(args) > 0 {
		service = args[0]
	}
	if len(args) > 1 {
		origin = args[1]
	}
	return service, origin
}

func (a *app) listEndpoints(ctx context.Context, q endpointsQuery) error {
	got, err := a.readEndpoints(ctx, q)
	if err != nil {
		return err
	}
	if q.summary {
		return a.show(page(got.GetOrigins(), ""), func() {
			if len(got.GetOrigins()) == 0 {
				a.noteNoService()
				return
			}
			a.write(originStatusTable(got.GetOrigins()))
			a.sayTroubled(got.GetOrigins())
		})
	}
	tree := page(got.GetItems(), got.GetNextPageToken())
	putOrigins(tree, got.GetOrigins())
	return a.show(tree, func() {
		if len(got.GetItems())+len(got.GetOrigins()) == 0 {
			a.noteNoService()
			return
		}
		a.write(endpointsTable(got))
		a.sayTroubled(got.GetOrigins())
		if got.GetNextPageToken() != "" {
			a.note("There is more: --page-token %s, or a larger --limit", got.GetNextPageToken())
		}
	})
}

// readEndpoints reads every page up to the limit; for a summary, only the first, which has the origins.
func (a *app) readEndpoints(ctx context.Context, q endpointsQuery) (*crossfadev1.ListEndpointsResponse, error) {
	all := &crossfadev1.ListEndpointsResponse{NextPageToken: q.pageToken}
	for {
		req := &crossfadev1.ListEndpointsRequest{Service: q.service, Origin: q.origin, PageSize: pageSize, PageToken: all.GetNextPageToken()}
		if left := q.limit - int32(len(all.GetItems())); q.limit > 0 {
			req.PageSize = min(req.PageSize, left)
		}
		if q.summary {
			req.PageSize = 1
		}
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListEndpoints, req)
		if err != nil {
			return nil, err
		}
		all.Items = append(all.Items, got.GetItems()...)
		all.Origins = append(all.Origins, got.GetOrigins()...)
		all.NextPageToken = got.GetNextPageToken()
		if all.GetNextPageToken() == "" || q.summary || q.limit > 0 && len(all.GetItems()) >= int(q.limit) {
			return all, nil
		}
	}
}

// endpointsTable has a row for each endpoint, and one for each origin that has none.
func endpointsTable(got *crossfadev1.ListEndpointsResponse) *table {
	t := &table{head: []string{"SERVICE", "ORIGIN", "ADDRESS", "ZONE", "HEALTH", "STATE", "AGE", "SOURCE"}}
	none := withoutEndpoints(got.GetOrigins())
	for _, e := range got.GetItems() {
		for len(none) > 0 && comesBefore(none[0], e) {
			none = t.without(none)
		}
		t.row(e.GetService(), e.GetOrigin(), e.GetAddress(), dash(e.GetZone()), dash(e.GetHealth()), endpointState(e.GetState()), ageWords(e.GetAgeMs()), e.GetSource())
	}
	for len(none) > 0 {
		none = t.without(none)
	}
	return t
}

// without adds the row of the first of some origins without endpoints, and returns the others.
func (t *table) without(origins []*crossfadev1.OriginStatus) []*crossfadev1.OriginStatus {
	o, address := origins[0], cell{"none", faint}
	if o.GetState() == originResolved {
		address.text = "-"
	}
	t.row(o.GetService(), o.GetOrigin(), address, "-", "-", originState(o.GetState()), ageWords(o.GetAgeMs()), o.GetSource())
	return origins[1:]
}

// putOrigins adds what is known of origins to an answer, if there is anything.
func putOrigins(to *yaml.Node, origins []*crossfadev1.OriginStatus) {
	if len(origins) > 0 {
		manifest.Put(to, "origins", answers(origins))
	}
}
