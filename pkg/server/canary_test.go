package server_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// canaryStream is what a job reads.
type canaryStream interface {
	Recv() (*crossfadev1.RunCanaryResponse, error)
}

// runCanary calls for rollout r1 with a key, until the returned function or the test ends the call.
func runCanary(t *testing.T, f *fixture, key string) (canaryStream, func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	w, err := f.RunCanary(ctx, &crossfadev1.RunCanaryRequest{
		Rollout: &crossfadev1.Rollout{Name: "r1"}, Lease: durationpb.New(7 * time.Second), Options: &crossfadev1.ChangeOptions{IdempotencyKey: key, Actor: "ci"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, cancel
}

// hear receives one message and holds it against what is wanted.
func hear(t *testing.T, w canaryStream, run, state, verdict string) {
	t.Helper()
	e, err := w.Recv()
	if err != nil || e.GetStatus().GetRun() != run || e.GetStatus().GetState() != state || e.GetVerdict() != verdict || e.GetTime() == nil {
		t.Fatalf("%v, %v; want run %s, %s, verdict %q", e, err, run, state, verdict)
	}
}

func TestACanaryStreamsUntilItsEnd(t *testing.T) {
	for state, verdict := range map[string]string{"Completed": "Pass", "RolledBack": "Fail", "Aborted": "Inconclusive"} {
		t.Run(state, func(t *testing.T) {
			s := newRolloutStub()
			var told []string
			f := start(t, server.Config{Controller: s, Changed: func(method string, changes []*crossfadev1.Change, _ time.Duration) {
				for _, c := range changes {
					told = append(told, method+" "+c.GetService())
				}
			}})
			w, _ := runCanary(t, f, "job-1")
			hear(t, w, "r1@1", "Baking", "")
			if n := s.attending(); n != 1 {
				t.Errorf("%d wait for it, want 1", n)
			}
			for _, next := range []string{"AwaitingGate", "Paused", "Frozen"} { // nothing of these is an end
				st := baking("r1", "r1@1")
				st.State = next
				s.put(st)
				hear(t, w, "r1@1", next, "")
			}
			st := baking("r1", "r1@1")
			st.State = state
			s.put(st)
			hear(t, w, "r1@1", state, verdict)
			if e, err := w.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %v, %v", e, err)
			}
			if n := s.attending(); n != 0 {
				t.Errorf("%d wait for it after the end", n)
			}
			if got := s.heard(); got != "start r1 lease 7s by ci" {
				t.Errorf("the controller was told: %s", got)
			}
			if got := strings.Join(told, ", "); got != "RunCanary r1" || !strings.Contains(f.log.String(), "method=RunCanary") {
				t.Errorf("changes %q, log %s", got, f.log)
			}
		})
	}
}

func TestACanaryWithTheSameKeyIsTheSameRun(t *testing.T) {
	s := newRolloutStub()
	f := start(t, server.Config{Controller: s})
	first, cut := runCanary(t, f, "job-1")
	hear(t, first, "r1@1", "Baking", "")
	cut()
	<-s.left
	second, _ := runCanary(t, f, "job-1")
	hear(t, second, "r1@1", "Baking", "")
	st := baking("r1", "r1@1")
	st.State = "RolledBack"
	s.put(st)
	hear(t, second, "r1@1", "RolledBack", "Fail")
	third, _ := runCanary(t, f, "job-1") // it is over: its end comes at once
	hear(t, third, "r1@1", "RolledBack", "Fail")
	if e, err := third.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, %v", e, err)
	}
}

func TestACanaryWhoseRunWasReplacedSaysSo(t *testing.T) {
	s := newRolloutStub()
	f := start(t, server.Config{Controller: s})
	first, _ := runCanary(t, f, "job-1")
	hear(t, first, "r1@1", "Baking", "")
	second, _ := runCanary(t, f, "job-2")
	hear(t, second, "r1@2", "Baking", "")
	again, _ := runCanary(t, f, "job-1")
	for name, w := range map[string]canaryStream{"who waited": first, "who comes again": again} {
		e, err := w.Recv()
		problems, _ := details(t, err)
		if status.Code(err) != codes.Aborted || len(problems) != 1 || problems[0].GetCode() != "run_replaced" || !strings.Contains(problems[0].GetMessage(), "r1@2 (started by ann)") {
			t.Errorf("%s: %v, %v with %v", name, e, err, problems)
		}
	}
}

// TestACanaryIsNotMistakenForTheRunBefore: right after a start the status may be that of the run before still.
func TestACanaryIsNotMistakenForTheRunBefore(t *testing.T) {
	s := newRolloutStub()
	late := &lateStub{rolloutStub: s}
	f := start(t, server.Config{Controller: late})
	first, _ := runCanary(t, f, "job-1")
	hear(t, first, "r1@1", "Baking", "")
	st := baking("r1", "r1@1")
	st.State = "Completed"
	s.put(st)
	hear(t, first, "r1@1", "Completed", "Pass")
	late.hold("r1")
	second, _ := runCanary(t, f, "job-2")
	late.asked(t, 2)
	late.release()
	hear(t, second, "r1@3", "Baking", "")
}

// lateStub shows the status of a rollout as it was.
type lateStub struct {
	*rolloutStub
	old   *crossfadev1.RolloutStatus
	shown chan struct{}
}

func (l *lateStub) hold(name string) {
	old, _ := l.rolloutStub.Rollout(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.old, l.shown = old, make(chan struct{}, 100)
}

func (l *lateStub) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.old = nil
	l.tell()
}

// asked waits until the status was asked for so often; who waits for a change is woken for that.
func (l *lateStub) asked(t *testing.T, times int) {
	t.Helper()
	for range times {
		select {
		case <-l.shown:
		case <-t.Context().Done():
		}
		l.mu.Lock()
		l.tell()
		l.mu.Unlock()
	}
}

func (l *lateStub) Rollout(name string) (*crossfadev1.RolloutStatus, error) {
	l.mu.Lock()
	old := l.old
	l.mu.Unlock()
	if old == nil {
		return l.rolloutStub.Rollout(name)
	}
	l.shown <- struct{}{}
	return old, nil
}

func TestACanaryThatMayNotStartSaysWhy(t *testing.T) {
	s := newRolloutStub()
	s.refused = policy.Errors{{Kind: policy.Held, Code: "rollout_underway", Field: "service", Value: "orders", Message: "rollout r0 is on its way"}}
	f := start(t, server.Config{Controller: s})
	w, _ := runCanary(t, f, "job-1")
	_, err := w.Recv()
	if problems, _ := details(t, err); status.Code(err) != codes.FailedPrecondition || len(problems) != 1 || problems[0].GetCode() != "rollout_underway" {
		t.Errorf("%v with %v", err, problems)
	}
	if n := s.attending(); n != 0 {
		t.Errorf("%d wait for a run that is none", n)
	}
}

// TestACallerThatIsGoneNoLongerAttends: the lease of a run begins when the connection of whoever waited is gone.
func TestACallerThatIsGoneNoLongerAttends(t *testing.T) {
	s := newRolloutStub()
	f := start(t, server.Config{Controller: s})
	w, _ := runCanary(t, f, "job-1")
	hear(t, w, "r1@1", "Baking", "")
	if err := f.conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.left:
	case <-t.Context().Done():
	}
	if n := s.attending(); n != 0 {
		t.Errorf("%d wait, and nobody is there", n)
	}
}

func TestStopLetsACanaryGoOn(t *testing.T) {
	s := newRolloutStub()
	f := start(t, server.Config{Controller: s})
	w, _ := runCanary(t, f, "job-1")
	hear(t, w, "r1@1", "Baking", "")
	f.api.Stop(f.grpc, timeout)
	_, err := w.Recv()
	problems, _ := details(t, err)
	if status.Code(err) != codes.Unavailable || len(problems) != 1 || problems[0].GetCode() != "server_stopping" || !strings.Contains(problems[0].GetNext(), "same idempotency key within 7s") {
		t.Errorf("%v with %v", err, problems)
	}
	if got := s.heard(); got != "start r1 lease 7s by ci" {
		t.Errorf("the controller was told: %s", got)
	}
}
