package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// How long a rollout that somebody waits for goes on when nobody does any more.
const (
	defaultLease = time.Minute
	minLease     = 5 * time.Second
	maxLease     = 24 * time.Hour
)

// canary is a run that a caller waits for.
type canary struct {
	name, run string
	revision  int64 // of its start
	lease     time.Duration
}

// RunCanary implements the contract.
func (a *API) RunCanary(r *crossfadev1.RunCanaryRequest, stream grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
	ctx := stream.Context()
	c, err := a.startCanary(ctx, r)
	if err != nil {
		return err
	}
	leave := a.control.AttendRollout(c.name)
	defer leave()
	stall := time.NewTimer(a.watchStall)
	defer stall.Stop()
	err = a.followRollout(ctx, c.name, func(s *crossfadev1.RolloutStatus) (bool, error) {
		switch {
		case s.GetRun() == c.run:
		case s.GetRevision() < c.revision: // its walk has not begun
			return false, nil
		default:
			return true, c.replaced(s)
		}
		verdict := verdictOf[s.GetState()]
		err := send(a, stream, &crossfadev1.RunCanaryResponse{Time: timestamppb.Now(), Status: s, Verdict: verdict}, stall)
		return verdict != "", err
	})
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		return c.goesOn()
	}
	return err
}

// startCanary starts the rollout of a request, or finds the run that its idempotency key started before.
func (a *API) startCanary(ctx context.Context, r *crossfadev1.RunCanaryRequest) (canary, error) {
	began := time.Now()
	var p problems
	if r.GetRollout() == nil {
		p.add("required", "rollout", "", "is missing")
	}
	lease := p.lease(r.GetLease())
	if r.GetOptions().GetIdempotencyKey() == "" {
		p.Errors = append(p.Errors, invalid("required", "options.idempotencyKey", "", "is missing: without it, a call that is made again would be another rollout", "make it of the job and its attempt"))
	}
	o, err := p.options(ctx, r)
	if err != nil {
		return canary{}, err
	}
	o.Wait = crossfadev1.Wait_WAIT_NONE // the stream tells when proxies have it
	change, _, err := a.control.StartRollout(ctx, r.GetRollout(), "", lease, o)
	var changes []*crossfadev1.Change
	if err == nil {
		changes = changesOf(&crossfadev1.StartRolloutResponse{Change: change})
	}
	took := time.Since(began)
	a.changed("RunCanary", changes, took)
	a.logChange(ctx, "RunCanary", r, changes, err, took)
	if err != nil {
		return canary{}, err
	}
	c := canary{name: change.GetService(), revision: change.GetRevision(), lease: lease}
	c.run, err = a.runStartedBy(ctx, c.revision)
	return c, err
}

// runStartedBy is the run that a revision started. The present status of the rollout does not say: the key may be of an earlier run.
func (a *API) runStartedBy(ctx context.Context, revision int64) (string, error) {
	found, err := a.control.History(ctx, "", revision+1, 1)
	if err != nil {
		return "", err
	}
	for _, r := range found {
		if run := r.GetAfter().GetRollout().GetRun().GetId(); r.GetRevision() == revision && run != "" {
			return run, nil
		}
	}
	return "", fmt.Errorf("revision %d started no rollout", revision)
}

// replaced is the error where another run took the place of the one that is waited for.
func (c canary) replaced(by *crossfadev1.RolloutStatus) error {
	return &policy.Error{
		Kind: policy.Conflict, Code: "run_replaced", Field: "rollout.name", Value: c.name,
		Message: fmt.Sprintf("run %s is over, and run %s (started by %s) took its place", c.run, by.GetRun(), by.GetStartedBy()),
		Next:    "`shadowctl history` says how it ended; use a new idempotency key for a new run",
	}
}

// goesOn is the error where the server ends a call whose rollout does not end with it.
func (c canary) goesOn() error {
	return newStatus(codes.Unavailable, policy.Errors{{
		Code: "server_stopping", Message: fmt.Sprintf("%s; rollout %s (run %s) goes on", errStopping, c.name, c.run),
		Next: fmt.Sprintf("call again with the same idempotency key within %s: it waits for the same run", c.lease),
	}}, nil)
}

// lease reads for how long nobody may wait; absent is the default.
func (p *problems) lease(d *durationpb.Duration) time.Duration {
	if d == nil {
		return defaultLease
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() < minLease || d.AsDuration() > maxLease {
		p.add("out_of_range", "lease", d.AsDuration().String(), fmt.Sprintf("must be between %s and %s, or absent for %s", minLease, maxLease, defaultLease))
		return 0
	}
	return d.AsDuration()
}
