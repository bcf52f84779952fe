package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newRolloutList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list [SERVICE]", Short: "Show the rollouts: where each is, and what it waits for",
		Long: "Show the rollouts: where each is, and what it waits for. Those on their way come first, then those that are over, newest first.",
		Args: exactly("[SERVICE]"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			return a.showRollouts(ctx, strings.Join(args, ""))
		}),
	}
}

func (a *app) showRollouts(ctx context.Context, service string) error {
	items, err := a.listRollouts(ctx, service)
	if err != nil {
		return err
	}
	others, err := onlyOthers(ctx, a, service, items, a.listRollouts)
	if err != nil {
		return err
	}
	slices.SortStableFunc(items, newerRollout)
	return a.show(page(items, ""), func() {
		switch {
		case others:
			a.note("There is no rollout of %s. Those of other services:\n  shadowctl rollout list", service)
		case len(items) == 0:
			a.note("There is no rollout yet. Begin with one:\n  shadowctl example rollout > rollout.yaml\n  shadowctl rollout start -f rollout.yaml --dry-run")
		default:
			a.write(rolloutsTable(items))
		}
	})
}

// onlyOthers says of an empty list of one service that other services have what is listed. A service that is not there is an error.
func onlyOthers[M any](ctx context.Context, a *app, service string, items []M, list func(context.Context, string) ([]M, error)) (bool, error) {
	if len(items) > 0 || service == "" {
		return false, nil
	}
	if _, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: "service", Name: service}); err != nil {
		return false, err
	}
	all, err := list(ctx, "")
	return len(all) > 0, err
}

// newerRollout puts those on their way first, and the newest first.
func newerRollout(x, y *crossfadev1.RolloutStatus) int {
	if over(x) != over(y) {
		if over(x) {
			return 1
		}
		return -1
	}
	return cmp.Or(y.GetEnded().AsTime().Compare(x.GetEnded().AsTime()), y.GetStarted().AsTime().Compare(x.GetStarted().AsTime()))
}

// listRollouts reads every page.
func (a *app) listRollouts(ctx context.Context, service string) ([]*crossfadev1.RolloutStatus, error) {
	var items []*crossfadev1.RolloutStatus
	req := &crossfadev1.ListRolloutsRequest{PageSize: pageSize, Service: service}
	for {
		got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.ListRollouts, req)
		if err != nil {
			return nil, err
		}
		items = append(items, got.GetItems()...)
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return items, nil
		}
	}
}

func rolloutsTable(items []*crossfadev1.RolloutStatus) *table {
	t := &table{head: []string{"NAME", "SERVICE", "STATE", "STEP", "WEIGHT", "VERDICT", "WAITING FOR"}}
	for _, st := range items {
		t.row(st.GetName(), st.GetService(), cell{dash(st.GetState()), phaseColor(phaseOf(st))}, position(st), st.GetTo()+" "+weightWords(st.GetWeight()), verdictCell(verdictNow(st)), dashOr(st.GetWaitingFor(), st.GetReason()))
	}
	return t
}
