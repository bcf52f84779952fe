package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// rolloutPause is the least time between two messages of one watch in the same state: counts change with every look.
const rolloutPause = 200 * time.Millisecond

// maxStep bounds the number of a step: no plan has more.
const maxStep = 10000

// rolloutActions are what somebody may decide.
var rolloutActions = []string{"pause", "resume", "approve", "reject", "abort", "promote"}

// verdictOf is the verdict of each state in which a rollout is over; empty: it is on its way.
var verdictOf = map[string]string{"Completed": "Pass", "RolledBack": "Fail", "Aborted": "Inconclusive"}

// StartRollout implements the contract.
func (a *API) StartRollout(ctx context.Context, r *crossfadev1.StartRolloutRequest) (*crossfadev1.StartRolloutResponse, error) {
	var p problems
	doc, name := r.GetRollout(), r.GetName()
	p.optionalName("name", name)
	if (doc == nil) == (name == "") {
		p.add("one_of", "rollout", name, "exactly one is needed: a rollout, or the name of one that is over")
	}
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.GetDryRun() {
		status, err := a.control.CheckRollout(doc, name, o)
		return &crossfadev1.StartRolloutResponse{Status: status, EarliestEnd: earliestEnd(status)}, err
	}
	c, status, err := a.control.StartRollout(ctx, doc, name, 0, o)
	return &crossfadev1.StartRolloutResponse{Change: c, Status: status, EarliestEnd: earliestEnd(status)}, err
}

// earliestEnd is how long the steps take if nothing holds them.
func earliestEnd(s *crossfadev1.RolloutStatus) *durationpb.Duration {
	if s == nil {
		return nil
	}
	var sum time.Duration
	for _, step := range s.GetSteps() {
		sum += step.GetBake().AsDuration()
	}
	return durationpb.New(sum)
}

// ActOnRollout implements the contract.
func (a *API) ActOnRollout(ctx context.Context, r *crossfadev1.ActOnRolloutRequest) (*crossfadev1.ActOnRolloutResponse, error) {
	var p problems
	p.name("name", r.GetName())
	if !slices.Contains(rolloutActions, r.GetAction()) {
		p.add("action_unknown", "action", r.GetAction(), "must be pause, resume, approve, reject, abort or promote")
	}
	if n := r.GetStep(); n < 0 || n > maxStep {
		p.add("out_of_range", "step", fmt.Sprint(n), "must be a step, counted from 1, or 0 for the present one")
	}
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	status, err := a.control.ActOnRollout(ctx, r.GetName(), r.GetAction(), int(r.GetStep()), o)
	if err != nil {
		return nil, err
	}
	a.log.InfoContext(ctx, "decision", "rollout", r.GetName(), "action", r.GetAction(), "who", o.Who, "state", status.GetState())
	return &crossfadev1.ActOnRolloutResponse{Status: status}, nil
}

// ListRollouts implements the contract.
func (a *API) ListRollouts(ctx context.Context, r *crossfadev1.ListRolloutsRequest) (*crossfadev1.ListRolloutsResponse, error) {
	var p problems
	list := "rollouts\x00" + r.GetService()
	p.optionalName("service", r.GetService())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	if err := p.Err(); err != nil {
		return nil, err
	}
	key := (*crossfadev1.RolloutStatus).GetName
	all := seen(a.sight(ctx), a.control.Rollouts(r.GetService()), (*crossfadev1.RolloutStatus).GetService)
	slices.SortFunc(all, func(x, y *crossfadev1.RolloutStatus) int { return cmp.Compare(key(x), key(y)) })
	items, next := page(after(all, last, key), size, list, key)
	return &crossfadev1.ListRolloutsResponse{Items: items, NextPageToken: next}, nil
}

// GetRollout implements the contract.
func (a *API) GetRollout(_ context.Context, r *crossfadev1.GetRolloutRequest) (*crossfadev1.GetRolloutResponse, error) {
	var p problems
	if p.name("name", r.GetName()); p.Err() != nil {
		return nil, p.Err()
	}
	status, err := a.control.Rollout(r.GetName())
	return &crossfadev1.GetRolloutResponse{Status: status}, err
}

// WatchRollout implements the contract. A watcher that leaves messages unread is cut off.
func (a *API) WatchRollout(r *crossfadev1.WatchRolloutRequest, stream grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error {
	var p problems
	if p.name("name", r.GetName()); p.Err() != nil {
		return p.Err()
	}
	stall := time.NewTimer(a.watchStall)
	defer stall.Stop()
	return a.followRollout(stream.Context(), r.GetName(), func(s *crossfadev1.RolloutStatus) (bool, error) {
		err := send(a, stream, &crossfadev1.WatchRolloutResponse{Time: timestamppb.Now(), Status: s}, stall)
		return verdictOf[s.GetState()] != "", err
	})
}

// followRollout tells how a rollout is, and again when it changes, until it is told that this was the last: at once when the rollout moves on, and
// every [rolloutPause] otherwise.
func (a *API) followRollout(ctx context.Context, name string, tell func(*crossfadev1.RolloutStatus) (last bool, err error)) error {
	pause := time.NewTimer(rolloutPause)
	defer pause.Stop()
	var told *crossfadev1.RolloutStatus
	for rested := false; ; {
		changed := a.control.RolloutChanged(name) // asked for before the status: what changes in between is not missed
		status, err := a.control.Rollout(name)
		if err != nil {
			return err
		}
		if movedOn(told, status) || rested && !proto.Equal(told, status) {
			if last, err := tell(status); last || err != nil {
				return err
			}
			told, rested = status, false
			pause.Reset(rolloutPause)
		}
		select {
		case <-changed:
		case <-pause.C:
			rested = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// movedOn tells a change of which a watcher has to hear at once.
func movedOn(told, s *crossfadev1.RolloutStatus) bool {
	return told == nil || told.GetRun() != s.GetRun() || told.GetState() != s.GetState() || told.GetStep() != s.GetStep()
}
