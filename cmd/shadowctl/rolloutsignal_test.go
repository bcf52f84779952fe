package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// asProgram makes this test binary the program itself: signals are for processes.
const asProgram = "SHADOWCTL_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(execute())
	}
	os.Exit(m.Run())
}

// TestSignalsOfARun: the first one takes the rollout back and waits for that; a second one ends the process at once.
func TestSignalsOfARun(t *testing.T) {
	if s := signalled(t, aborted(), 1); s.ExitStatus() != int(exitHeld) {
		t.Errorf("one: ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
	if s := signalled(t, inState("RollingBack", 1, 1000, "goes back to 0%", "aborted by alice"), 2); s.Signal() != syscall.SIGTERM {
		t.Errorf("two: ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
}

// signalled runs `rollout run` as a process and sends it so many signals: one when it has begun, the next ones when it has asked for the abort. After the
// abort the rollout is as then says.
func signalled(t *testing.T, then *crossfadev1.RolloutStatus, signals int) syscall.WaitStatus {
	t.Helper()
	abort := make(chan struct{})
	d := serve(t, &double{
		answer: func(ctx context.Context, method string, in proto.Message) (proto.Message, error) {
			close(abort)
			return rolloutsToo(canned(nil))(ctx, method, in)
		},
		runCanary: func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
			if err := out.Send(&crossfadev1.RunCanaryResponse{Time: timestamppb.New(now), Status: baking()}); err != nil {
				return err
			}
			select {
			case <-abort:
				return canary(then)(in, out)
			case <-out.Context().Done():
				return nil
			}
		},
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "rollout", "run", "-f", "testdata/rollout.yaml", "--server", d.address)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		for ; signals > 0 && strings.Contains(lines.Text(), "Baking"); signals-- {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if signals > 1 {
				<-abort
			}
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatalf("ended with %v", err)
	}
	return ended.Sys().(syscall.WaitStatus)
}
