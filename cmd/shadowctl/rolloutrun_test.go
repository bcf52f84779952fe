package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// cancelled runs `rollout run` and interrupts it when the line with a word is written.
func cancelled(t *testing.T, d *double, word string, more ...string) (exit int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &notify{each: func(line string) {
		if strings.Contains(line, word) {
			cancel()
		}
	}}
	var stderr bytes.Buffer
	a := &app{out: stdout, err: &stderr, now: func() time.Time { return now }, env: func(string) string { return "" }}
	exit = a.run(ctx, append([]string{"--server", d.address, "rollout", "run", "r1", "--service", "orders", "--to", "eks", "--preset", "10", "--guard", "p99<=10s", "--idempotency-key", "job-1"}, more...))
	return exit, stdout.buf.String(), stderr.String()
}

// TestACancelledRunTakesEverythingBack: it joins the same run by its key, aborts it, and waits for the end.
func TestACancelledRunTakesEverythingBack(t *testing.T) {
	abort := make(chan struct{})
	var keys []string
	d := serve(t, &double{
		answer: func(ctx context.Context, method string, in proto.Message) (proto.Message, error) {
			close(abort)
			return rolloutsToo(canned(nil))(ctx, method, in)
		},
		runCanary: func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
			keys = append(keys, in.GetOptions().GetIdempotencyKey())
			if in.GetLease().AsDuration() != time.Minute {
				t.Errorf("lease %s", in.GetLease().AsDuration())
			}
			send := func(st *crossfadev1.RolloutStatus) error {
				return out.Send(&crossfadev1.RunCanaryResponse{Time: timestamppb.New(now), Status: st, Verdict: endVerdict(phaseOf(st))})
			}
			if err := send(baking()); err != nil {
				return err
			}
			select {
			case <-abort:
			case <-out.Context().Done():
				return nil
			}
			if err := send(inState("RollingBack", 1, 1000, "goes back to 0%", "aborted by alice")); err != nil {
				return err
			}
			return send(aborted())
		},
	})
	exit, out, errs := cancelled(t, d, "Baking")
	golden(t, "rollout-run-cancelled", fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", exit, out, errs))
	calls := d.asked()
	if len(calls) != 1 || len(keys) != 2 || keys[0] != "job-1" || keys[1] != "job-1" {
		t.Fatalf("calls %v, keys %v", calls, keys)
	}
	act := calls[0].in.(*crossfadev1.ActOnRolloutRequest)
	if act.GetName() != "r1" || act.GetAction() != "abort" || act.GetOptions().GetIdempotencyKey() == "job-1" || act.GetOptions().GetReason() == "" {
		t.Errorf("asked %v", act)
	}
}

// TestACancelledRunMeetsARolloutThatGoesBack: it is not aborted again, and its end counts.
func TestACancelledRunMeetsARolloutThatGoesBack(t *testing.T) {
	var streams atomic.Int32
	d := serve(t, &double{answer: rolloutsToo(canned(nil)), runCanary: func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
		if streams.Add(1) == 1 {
			return canary(baking())(in, out)
		}
		return canary(inState("RollingBack", 1, 1000, "goes back to 0%", "a guard failed"), backed())(in, out)
	}})
	exit, out, errs := cancelled(t, d, "Baking")
	if exit != 8 || len(d.asked()) != 0 {
		t.Errorf("exit %d, asked %v: %s%s", exit, d.asked(), out, errs)
	}
}

// TestACancelledRunThatCannotBeTakenBack says so, and how it goes on: the primary is unhealthy, or the server is gone.
func TestACancelledRunThatCannotBeTakenBack(t *testing.T) {
	d := serve(t, &double{runCanary: canary(frozen()), answer: failing(codes.FailedPrecondition, &crossfadev1.ErrorDetail{
		Code: "primary_unhealthy", Field: "action", Message: "the primary is unhealthy, and aborting would send everything there", Next: "run `shadowctl rollback orders` to do so all the same",
	})})
	exit, _, errs := cancelled(t, d, "Frozen")
	if exit != 9 || !strings.Contains(errs, "error: action: the primary is unhealthy") || !strings.Contains(errs, "shadowctl rollback orders") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	var streams atomic.Int32
	d = serve(t, &double{runCanary: func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
		if streams.Add(1) == 1 {
			return canary(baking())(in, out)
		}
		return status.Error(codes.Unavailable, "connection refused")
	}})
	exit, _, errs = cancelled(t, d, "Baking", "--lease", "90s")
	if exit != 5 || !strings.Contains(errs, "the server aborts it by itself when nobody has waited for it for 1m30s") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

// TestALostConnectionIsTheSameRun: it is made again with the same key, also if it was the program's own.
func TestALostConnectionIsTheSameRun(t *testing.T) {
	var keys []string
	d := serve(t, &double{runCanary: func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
		keys = append(keys, in.GetOptions().GetIdempotencyKey())
		if len(keys) == 1 {
			if err := out.Send(&crossfadev1.RunCanaryResponse{Time: timestamppb.New(now), Status: baking()}); err != nil {
				return err
			}
			return status.Error(codes.DeadlineExceeded, "the server is stopping; the change stands")
		}
		return canary(complete())(in, out)
	}})
	r := d.at(t, "rollout", "run", "-f", "testdata/rollout.yaml")
	if r.exit != 0 || len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] || !strings.Contains(r.err, "trying again") {
		t.Errorf("exit %d, keys %v: %s%s", r.exit, keys, r.out, r.err)
	}
}

// TestARefusedRunIsNotTriedForEver: a conflict has the status of a stream that was cut off.
func TestARefusedRunIsNotTriedForEver(t *testing.T) {
	for code, want := range map[codes.Code]int{codes.Aborted: 3, codes.FailedPrecondition: 9, codes.InvalidArgument: 2, codes.NotFound: 4, codes.PermissionDenied: 10} {
		d := serve(t, &double{runCanary: func(*crossfadev1.RunCanaryRequest, grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
			s, err := status.New(code, "refused").WithDetails(&crossfadev1.ErrorDetail{Code: "refused", Message: "is refused"})
			if err != nil {
				return err
			}
			return s.Err()
		}})
		if r := d.at(t, "rollout", "run", "-f", "testdata/rollout.yaml"); r.exit != want || r.out != "" || !strings.HasSuffix(r.err, ": is refused\n") {
			t.Errorf("%s: exit %d: %s%s", code, r.exit, r.out, r.err)
		}
	}
}

// TestAnAbortThatIsRefusedIsNotBlamedOnTheFile that the rollout came from.
func TestAnAbortThatIsRefusedIsNotBlamedOnTheFile(t *testing.T) {
	d := serve(t, &double{runCanary: canary(frozen()), answer: failing(codes.FailedPrecondition, &crossfadev1.ErrorDetail{Code: "primary_unhealthy", Message: "the primary is unhealthy"})})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs bytes.Buffer
	a := &app{out: &notify{each: func(string) { cancel() }}, err: &errs, now: func() time.Time { return now }, env: func(string) string { return "" }}
	if exit := a.run(ctx, []string{"rollout", "run", "-f", "testdata/rollout.yaml", "--server", d.address}); exit != 9 || !strings.HasSuffix(errs.String(), "\nerror: the primary is unhealthy\n") {
		t.Errorf("exit %d: %s", exit, errs.String())
	}
}
