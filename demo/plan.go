package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// firstRules are the rules of the first team that shifted by hand.
//
//go:embed rollout.yaml
var firstRules string

const (
	planName    = "orders-eks"
	exitVerdict = 8 // of shadowctl: rolled back
	// approvers are who may approve steps: a section of the server's settings.
	approvers = "roles:\n  approver: [bob]\n"
)

// planStops starts a plan while eks is broken: it takes itself back.
func (d *demo) planStops(ctx context.Context) error {
	d.title("A plan that stops itself")
	if err := os.WriteFile(filepath.Join(d.dir, "rollout.yaml"), []byte(firstRules), 0o644); err != nil {
		return err
	}
	d.typed("cat rollout.yaml")
	fmt.Fprint(d.out, firstRules)
	d.say("\neks is still broken. The plan does not know that.")
	began, before := time.Now(), d.traffic.mark()
	if err := d.shadowctlExits(ctx, exitVerdict, "rollout", "start", "-f", "rollout.yaml", "--watch"); err != nil {
		return err
	}
	back := d.traffic.mark()
	if _, err := d.watch(ctx, "since the start", before, began, d.pace/2); err != nil {
		return err
	}
	after, err := d.traffic.between(ctx, back, d.traffic.mark())
	if err == nil {
		d.expectShare(look(after, d.origins()), 0)
	}
	return err
}

// planWalks walks the same plan to its end, with the approval that it asks for.
func (d *demo) planWalks(ctx context.Context) error {
	d.title("The same plan, with eks mended")
	if err := d.eks.SetFaults(origin.Faults{}); err != nil {
		return err
	}
	if err := d.shadowctlAs(ctx, "ann", 0, "rollout", "start", planName); err != nil {
		return err
	}
	if err := d.awaitState(ctx, "AwaitingGate"); err != nil {
		return err
	}
	for _, args := range [][]string{{"rollout", "explain", planName}, {"rollout", "approve", planName, "--reason", "looks fine"}} {
		if err := d.shadowctlAs(ctx, "bob", 0, args...); err != nil {
			return err
		}
	}
	if err := d.shadowctl(ctx, "rollout", "watch", planName); err != nil {
		return err
	}
	_, err := d.expect(ctx, 1)
	return err
}

// awaitState waits until the plan is in a state.
func (d *demo) awaitState(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		got, err := d.API.GetRollout(ctx, &crossfadev1.GetRolloutRequest{Name: planName})
		if err != nil {
			return err
		}
		if st := got.GetStatus(); st.GetState() != want {
			return fmt.Errorf("the plan is %s, not %s: %s", st.GetState(), want, st.GetWaitingFor())
		}
		return nil
	})
}
