package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// showing streams statuses, one after another, and then holds the stream.
func showing(states ...*crossfadev1.RolloutStatus) func(*crossfadev1.WatchRolloutRequest, grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error {
	return func(in *crossfadev1.WatchRolloutRequest, out grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error {
		if in.GetName() != "r1" {
			return status.Error(codes.NotFound, "no such rollout")
		}
		for _, st := range states {
			if err := out.Send(&crossfadev1.WatchRolloutResponse{Time: timestamppb.New(now), Status: st}); err != nil {
				return err
			}
		}
		<-out.Context().Done()
		return nil
	}
}

// canary is the same for a run; its last message has the verdict.
func canary(states ...*crossfadev1.RolloutStatus) func(*crossfadev1.RunCanaryRequest, grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
	return func(_ *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
		for _, st := range states {
			if err := out.Send(&crossfadev1.RunCanaryResponse{Time: timestamppb.New(now), Status: st, Verdict: endVerdict(phaseOf(st))}); err != nil {
				return err
			}
		}
		<-out.Context().Done()
		return nil
	}
}

// TestEndsOfRolloutsAreExitCodes, of watch, of start --watch and of run.
func TestEndsOfRolloutsAreExitCodes(t *testing.T) {
	for _, tt := range []struct {
		end  *crossfadev1.RolloutStatus
		want int
	}{{complete(), 0}, {backed(), 8}, {aborted(), 9}} {
		// a pause and a freeze are no ends
		states := []*crossfadev1.RolloutStatus{baking(), paused(), frozen(), awaiting(), tt.end}
		d := serve(t, &double{answer: rolloutsToo(canned(nil)), watchRollout: showing(states...), runCanary: canary(states...)})
		for _, args := range []string{"watch r1", "watch r1 -o json", "start r1 --watch", "run r1 --service orders --to eks --preset 10 --guard p99<=10s", "run r1 --service orders --to eks --preset 10 --no-guards -o json"} {
			r := d.at(t, append([]string{"rollout"}, strings.Fields(args)...)...)
			if r.exit != tt.want || r.out == "" || strings.Contains(r.err, "error") {
				t.Errorf("%s: exit %d, want %d: %s%s", args, r.exit, tt.want, r.out, r.err)
			}
		}
	}
}

// TestWatchOfARolloutEndsWithIt: a line for each change, and what to do where it waits for somebody; it survives a server that goes away.
func TestWatchOfARolloutEndsWithIt(t *testing.T) {
	same := baking()
	same.WaitingFor = "bakes on"
	states := []*crossfadev1.RolloutStatus{baking(), same, awaiting(), paused(), backed()}
	sent := 0
	d := serve(t, &double{watchRollout: func(_ *crossfadev1.WatchRolloutRequest, out grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error {
		for ; sent < len(states); sent++ {
			if err := out.Send(&crossfadev1.WatchRolloutResponse{Time: timestamppb.New(now), Status: states[sent]}); err != nil {
				return err
			}
			if sent == 2 {
				sent++
				return status.Error(codes.Unavailable, "shutting down")
			}
		}
		return nil
	}})
	r := d.at(t, "rollout", "watch", "r1")
	golden(t, "rollout-watch", fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.exit, r.out, r.err))
	sent = 3
	r = d.at(t, "rollout", "watch", "r1", "-o", "json")
	var kinds []string
	for line := range strings.Lines(r.out) {
		var e struct {
			Type, Time string
			Object     struct{ Name, Rollout, State, Verdict string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time != "2026-03-01T03:00:00Z" || e.Object.Name+e.Object.Rollout != "r1" {
			t.Errorf("%v: %s", err, line)
		}
		kinds = append(kinds, e.Type+" "+e.Object.State+" "+e.Object.Verdict)
	}
	if got := strings.Join(kinds, ", "); r.exit != 8 || got != "rollout Paused Pass, rollout RolledBack Fail, verdict RolledBack Fail" {
		t.Errorf("exit %d: %s", r.exit, got)
	}
}

// TestAnInterruptedWatchLeavesTheRollout: exit 7, and it goes on.
func TestAnInterruptedWatchLeavesTheRollout(t *testing.T) {
	d := serve(t, &double{answer: rolloutsToo(canned(nil)), watchRollout: showing(baking())})
	exit, _, errs := runUntil(t, d, 1, "rollout", "watch", "r1")
	if exit != 7 || !strings.Contains(errs, "the rollout goes on") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	if calls := d.asked(); len(calls) != 0 {
		t.Errorf("asked %v", calls)
	}
}

// TestAWatchDoesNotGoOnWithAnotherRun: the end of that one is not the end of this.
func TestAWatchDoesNotGoOnWithAnotherRun(t *testing.T) {
	other := complete()
	other.Run = "r1@00000002"
	d := serve(t, &double{answer: rolloutsToo(canned(nil)), watchRollout: showing(other)})
	if r := d.at(t, "rollout", "start", "r1", "--watch"); r.exit != 9 || !strings.Contains(r.err, "another has been started since: r1@00000002") {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
}

// TestARolloutOnATerminalIsRenewedInPlace: each frame goes up by as many rows as the one before took, however many guards there are.
func TestARolloutOnATerminalIsRenewedInPlace(t *testing.T) {
	many := baking()
	for i := range 20 {
		g := proto.CloneOf(many.Guards[i%6])
		g.Name = fmt.Sprintf("guard-%d", i)
		many.Guards = append(many.Guards, g)
	}
	d := serve(t, &double{watchRollout: showing(baking(), many, frozen(), awaiting(), backed())})
	for _, width := range []int{80, 120} {
		for _, color := range []bool{true, false} {
			var out bytes.Buffer
			a := &app{out: &out, err: &bytes.Buffer{}, now: func() time.Time { return now }, env: func(string) string { return "" }, color: color, width: width, height: 24}
			exit := a.run(t.Context(), []string{"rollout", "watch", "r1", "--server", d.address})
			frames := strings.Split(out.String(), "\r\x1b[J")
			if exit != 8 || len(frames) != 6 {
				t.Fatalf("exit %d, %d frames: %q", exit, len(frames), out.String())
			}
			shown := map[bool]string{true: "", false: "-plain"}[color]
			golden(t, fmt.Sprintf("rollout-watch-terminal-%d%s", width, shown), strings.ReplaceAll(out.String(), "\r\x1b[J", "\n=== renewed\n"))
			for i, f := range frames[:5] {
				f, up, _ := cutLast(f, "\x1b[")
				rows := 0
				for line := range strings.Lines(f) {
					rows += rowsOf(line, width)
				}
				if up != fmt.Sprintf("%dA", rows) || rows >= 24 {
					t.Errorf("frame %d has %d rows, and the next one goes up by %s", i, rows, up)
				}
			}
		}
	}
}
