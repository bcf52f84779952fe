package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// restart is the longest pause for which a server is waited for that is gone when everything is to be taken back.
const restart = 2 * time.Second

// defaultLease is for how long a rollout goes on that nobody waits for.
const defaultLease = time.Minute

func newRolloutRun(a *app) *cobra.Command {
	var f files
	var flags rolloutFlags
	var lease time.Duration
	var unguarded bool
	cmd := &cobra.Command{
		Use: "run ROLLOUT|-f FILE", Short: "Start a rollout and wait for its end, for CI jobs; interrupted, it takes everything back",
		Long: `Start a rollout and wait for its end: the work of a canary job in one command. It differs from "start --watch" in what happens if it
ends early: the rollout is for this command, so an interrupt (SIGINT, SIGTERM) aborts it and waits until everything is back at the
primary (exit 9). A second one leaves at once; within a second it is taken for the first, passed on by a wrapper. If the job is gone
altogether, the server aborts the rollout after --lease.

A lost connection is made again. With --idempotency-key, a job that is run again waits for the same rollout, also if it is over by
now; take what names the run of the pipeline. Without any guard nothing would stop the rollout: that has to be said with --no-guards.

` + guardsLong + `

Exit codes: 0 Completed, 8 RolledBack, 9 Aborted.`,
		Example: "  shadowctl rollout run canary --service orders --to eks --preset 10 --bake 5m --guard 'errorRate<=0.5%' --idempotency-key \"$CI_PIPELINE_ID\"\n" +
			"  shadowctl rollout run -f rollout.yaml --idempotency-key \"$CI_PIPELINE_ID\" -o json",
		Args: exactly("[ROLLOUT]"), ValidArgsFunction: a.completeArgs(completeRollouts(over), completeNothing),
	}
	f.flag(cmd, "the rollout:")
	cmd.Flags().DurationVar(&lease, "lease", defaultLease, "how `LONG` the rollout goes on if nobody waits for it")
	cmd.Flags().BoolVar(&unguarded, "no-guards", false, "run it though it has no guards: nothing would stop it")
	flags.add(a, cmd)
	cmd.RunE = a.do(func(ctx context.Context, args []string) error {
		if lease <= 0 {
			return badFlag("lease", lease.String(), "must be more than 0")
		}
		plan, err := a.planOf(cmd, &f, &flags, strings.Join(args, ""))
		if err == nil {
			err = a.checkGuarded(plan, unguarded)
		}
		if err != nil {
			return err
		}
		return a.runRollout(ctx, &crossfadev1.RunCanaryRequest{Rollout: plan, Options: a.options(), Lease: durationpb.New(lease)})
	})
	return cmd
}

// checkGuarded refuses a plan that nothing would stop, unless that is meant: nobody looks at a job while it runs.
func (a *app) checkGuarded(plan *crossfadev1.Rollout, unguarded bool) error {
	switch none := len(plan.GetGuards()) == 0; {
	case none && !unguarded:
		f := usage("no_guards", "the rollout has no guards: nothing would stop it")
		f.problems[0].next = "give at least one, for example --guard 'errorRate<=0.5%' (in a file: guards), or say --no-guards"
		return f
	case none:
		a.advise("%s", noGuards)
	case unguarded:
		return usage("bad_flag", "--no-guards is for a rollout without guards, and this one has %s", count(int64(len(plan.GetGuards())), "guard"))
	}
	return nil
}

// runRollout starts a rollout, or joins the one with the same key, and follows it to its end. An interrupt takes it back.
func (a *app) runRollout(ctx context.Context, req *crossfadev1.RunCanaryRequest) error {
	v := newView(a, "")
	v.interrupt = "Ctrl-C aborts the rollout, and waits until everything is back"
	err := a.followRun(ctx, v, req, nil)
	if err == nil {
		err = a.takeBack(context.WithoutCancel(ctx), v, req)
	}
	return v.finish(err)
}

// followRun shows a run until it is over, or ctx is. Each is called with every status but the last; it may be nil.
func (a *app) followRun(ctx context.Context, v *rolloutView, req *crossfadev1.RunCanaryRequest, each func(*crossfadev1.RolloutStatus) error) error {
	return a.keepWatching(ctx, func(c crossfadev1.CrossfadeServiceClient) (int, error) {
		v.frame.leave() // what was noted since stands below it
		stream, err := c.RunCanary(ctx, req)
		events, err := showAll(stream, err, func(e *crossfadev1.RunCanaryResponse) error {
			if err := v.see(e.GetTime(), e.GetStatus(), e.GetVerdict()); err != nil || each == nil {
				return err
			}
			return each(e.GetStatus())
		})
		return events, a.lostOrRefused(v, err)
	})
}

// lostOrRefused tells a connection that was lost, which is made again, from a refusal. A run that was seen is there, whatever a server says that stops.
func (a *app) lostOrRefused(v *rolloutView, err error) error {
	s, ok := status.FromError(err)
	switch {
	case !ok || unreachable(err):
		return err
	case v.last == nil, s.Code() == codes.Aborted: // nothing was started, or not this
		return a.failureOf(err)
	case s.Code() == codes.DeadlineExceeded:
		return status.Error(codes.Unavailable, s.Message())
	}
	return err
}

// takeBack aborts a run and waits until it is over. It joins the run first: it is not to be aborted by a name that may be another's by now.
func (a *app) takeBack(ctx context.Context, v *rolloutView, req *crossfadev1.RunCanaryRequest) error {
	a.note("interrupted: the rollout is aborted, and this waits until everything is back; interrupt again to leave at once")
	a.docs = nil // what goes wrong from here on is not about the document
	abort := &crossfadev1.ActOnRolloutRequest{Action: string(rollout.Abort), Options: a.options()}
	abort.Options.IdempotencyKey, abort.Options.ExpectRevision = "shadowctl-"+rand.Text(), 0
	abort.Options.Reason = dashOr(a.reason, "the command that waited for it was interrupted")
	asked := false
	each := func(st *crossfadev1.RolloutStatus) error {
		if asked || phaseOf(st) == rollout.RollingBack {
			return nil
		}
		abort.Name = st.GetName()
		_, err := invoke(ctx, a, a.timeout+answerGrace, crossfadev1.CrossfadeServiceClient.ActOnRollout, abort)
		asked = err == nil || tooLate(err)
		if asked {
			return nil
		}
		return err
	}
	err := a.followRun(ctx, v, req, each)
	for wait := firstPause; unreachable(err) && wait <= restart; wait *= 2 {
		a.note("no connection (%s); trying again in %s", lostWords(err), wait)
		pause(ctx, wait)
		err = a.followRun(ctx, v, req, each)
	}
	if !unreachable(err) {
		return err
	}
	f := a.failureOf(err)
	f.problems[0].message += "; if the rollout was started, it is on its way yet"
	f.problems[0].next = fmt.Sprintf("the server aborts it by itself when nobody has waited for it for %s", durationWords(req.GetLease().AsDuration()))
	return f
}

// tooLate tells the answer to an abort of what goes back already, or is over. How it ends comes by the stream.
func tooLate(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if detail, ok := d.(*crossfadev1.ErrorDetail); ok && (detail.GetCode() == "action_not_now" || detail.GetCode() == "rollout_over") {
			return true
		}
	}
	return false
}
