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
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
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
	if s := signalled(t, aborted(), 0); s.ExitStatus() != int(exitHeld) {
		t.Errorf("one: ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
	if s := signalled(t, inState("RollingBack", 1, 1000, "goes back to 0%", "aborted by alice"), sameSignal+sameSignal/2); s.Signal() != syscall.SIGTERM {
		t.Errorf("two: ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
}

// TestASignalThatAWrapperPassesOnIsTheSame: a job that is stopped has it from its runner too.
func TestASignalThatAWrapperPassesOnIsTheSame(t *testing.T) {
	if s := signalled(t, aborted(), time.Millisecond); s.ExitStatus() != int(exitHeld) {
		t.Errorf("ended with %d, signal %d", s.ExitStatus(), s.Signal())
	}
}

// signalled runs `rollout run` as a process and signals it when it has begun; after again, if that is not 0, once more. The rollout is then as then says,
// after the abort and after all signals.
func signalled(t *testing.T, then *crossfadev1.RolloutStatus, again time.Duration) syscall.WaitStatus {
	t.Helper()
	abort, sent := make(chan struct{}), make(chan struct{})
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
				<-sent
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
		if strings.Contains(lines.Text(), "Baking") {
			terminate(t, cmd.Process)
			if again > 0 && poll.Pause(t.Context(), again) == nil {
				terminate(t, cmd.Process)
			}
			close(sent)
		}
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatalf("ended with %v", err)
	}
	return ended.Sys().(syscall.WaitStatus)
}

func terminate(t *testing.T, to *os.Process) {
	t.Helper()
	if err := to.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}
