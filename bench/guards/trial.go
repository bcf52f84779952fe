package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// trial starts a rollout of each service, lets something go wrong, and waits until they are back.
type trial struct {
	apps      []app
	plan      func(app) *crossfadev1.Rollout
	quiet     time.Duration               // from when all are at their weight
	meanwhile func(context.Context) error // what is done after that, before anything goes wrong; may be nil
	fail      func()
	heal      func()
	patience  time.Duration // for a rollback
	watched   bool          // see [reaction.seen]; of one service
}

// reaction is how one rollout met what went wrong, in seconds after the first request that it befell.
type reaction struct {
	left    float64 // the last request at eks; of what is lost, for how long it was waited for at least
	seen    float64 // a guard showed it to a watcher; 0: not known
	decided float64 // the rollout said that it goes back, to a watcher; 0: not known
	proven  float64 // it was over, for a watcher; 0: not known
	lost    string  // why there is no reaction: it went back before, or not in time
	why     string  // the reason that the rollout gave
	rate    float64 // requests per second at eks before
	wrong   uint64  // requests that it befell
}

// try returns the reactions, in the order of the services. All rollouts are over then.
func (s *site) try(ctx context.Context, t trial) ([]reaction, error) {
	if err := s.begin(ctx, t); err != nil {
		return nil, err
	}
	defer t.heal()
	var w *watcher
	if t.watched {
		w = s.watch(ctx, t.plan(t.apps[0]).GetName())
		defer w.stop()
	}
	began, before := monotime.Now(), counts(t.apps)
	err := poll.Pause(ctx, t.quiet)
	if err == nil && t.meanwhile != nil {
		err = t.meanwhile(ctx)
	}
	if err != nil {
		return nil, err
	}
	seconds, after := (monotime.Now() - began).Seconds(), counts(t.apps)
	early, err := s.states(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range t.apps {
		a.tally().mark()
	}
	t.fail()
	if err := s.await(ctx, t.patience, t, "be over", over...); err != nil && !errors.Is(err, errLate) {
		return nil, err
	}
	states, err := s.states(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]reaction, len(t.apps))
	for i, a := range t.apps {
		name := t.plan(a).GetName()
		out[i] = a.reaction(early[name], states[name], t.patience)
		out[i].rate = float64(after[i]-before[i]) / seconds
	}
	if w != nil {
		w.complete(&out[0], t.apps[0].tally())
	}
	return out, s.end(ctx, t)
}

// begin starts the rollouts and waits until they bake.
func (s *site) begin(ctx context.Context, t trial) error {
	for _, a := range t.apps {
		if err := s.start(ctx, t.plan(a)); err != nil {
			return err
		}
	}
	return s.await(ctx, soon, t, "bake", "Baking")
}

func counts(apps []app) (out []uint64) {
	for _, a := range apps {
		out = append(out, a.tally().count.Load())
	}
	return out
}

// reaction is what the log of a service says, and its rollout before and after something went wrong. Patience is how long a rollback was waited for.
func (a app) reaction(before, after *crossfadev1.RolloutStatus, patience time.Duration) reaction {
	r := reaction{why: after.GetReason(), wrong: a.tally().wrong.Load(), left: patience.Seconds()}
	left, ok := a.tally().left()
	switch {
	case before.GetState() != "Baking":
		r.lost = "it was " + before.GetState() + " before anything was wrong: " + before.GetReason()
	case after.GetState() != "RolledBack":
		r.lost = "it was " + after.GetState() + " when time was up: " + after.GetReason()
	case !ok:
		r.lost = "it went back though nothing was wrong: " + after.GetReason()
	default:
		r.left = left
	}
	return r
}

// over are the states in which a rollout has ended, or will not end by itself.
var over = []string{"RolledBack", "Completed", "Aborted", "Frozen", "Paused"}

var errLate = errors.New("some are late")

// await waits until all rollouts of a trial are in one of these states, or are over. The error is errLate if they are not in time.
func (s *site) await(ctx context.Context, limit time.Duration, t trial, what string, wanted ...string) error {
	late := fmt.Errorf("%w to %s", errLate, what)
	wanted = append(wanted, over...)
	err := until(ctx, limit, what, func(ctx context.Context) error {
		states, err := s.states(ctx)
		if err != nil {
			return err
		}
		for _, a := range t.apps {
			if got := states[t.plan(a).GetName()]; !isOneOf(got.GetState(), wanted) {
				return fmt.Errorf("%s is %s: %s", got.GetName(), got.GetState(), got.GetWaitingFor())
			}
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", late, err)
	}
	return s.exited()
}

func isOneOf(state string, of []string) bool {
	for _, s := range of {
		if s == state {
			return true
		}
	}
	return false
}

// end aborts what is still on its way, and waits for that.
func (s *site) end(ctx context.Context, t trial) error {
	states, err := s.states(ctx)
	if err != nil {
		return err
	}
	for _, a := range t.apps {
		name := t.plan(a).GetName()
		switch states[name].GetState() {
		case "RolledBack", "Completed", "Aborted", "RollingBack":
			continue
		case "Frozen":
			_, err = s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: a.name, Options: changeOptions(crossfadev1.Wait_WAIT_NONE)})
		default:
			_, err = s.API.ActOnRollout(ctx, &crossfadev1.ActOnRolloutRequest{Name: name, Action: "abort", Options: changeOptions(crossfadev1.Wait_WAIT_NONE)})
		}
		if err != nil && status.Code(err) != codes.FailedPrecondition { // it began to go back by itself meanwhile
			return err
		}
	}
	return until(ctx, soon, "the end of all rollouts", func(ctx context.Context) error {
		states, err := s.states(ctx)
		for _, a := range t.apps {
			if got := states[t.plan(a).GetName()]; err == nil && !isOneOf(got.GetState(), []string{"RolledBack", "Completed", "Aborted"}) {
				return fmt.Errorf("%s is %s: %s", got.GetName(), got.GetState(), got.GetReason())
			}
		}
		return err
	})
}

// states are all rollouts, by name.
func (s *site) states(ctx context.Context) (map[string]*crossfadev1.RolloutStatus, error) {
	got, err := s.API.ListRollouts(ctx, &crossfadev1.ListRolloutsRequest{PageSize: 1000})
	if err != nil {
		return nil, err
	}
	out := map[string]*crossfadev1.RolloutStatus{}
	for _, r := range got.GetItems() {
		out[r.GetName()] = r
	}
	return out, nil
}

func (s *site) start(ctx context.Context, doc *crossfadev1.Rollout) error {
	_, err := s.API.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Rollout: doc, Options: changeOptions(crossfadev1.Wait_WAIT_NONE)})
	if err != nil {
		return fmt.Errorf("start %s: %w", doc.GetName(), err)
	}
	return nil
}

func (r reaction) String() string {
	if r.lost != "" {
		return "NOT FOUND: " + r.lost
	}
	text := fmt.Sprintf("last request %.2f s", r.left)
	if r.decided > 0 {
		text += fmt.Sprintf(" (seen %.2f, decided %.2f, proven %.2f)", r.seen, r.decided, r.proven)
	}
	return text + fmt.Sprintf(" after the first of %d, at %.1f requests/s: %s", r.wrong, r.rate, strings.TrimSuffix(r.why, "."))
}
