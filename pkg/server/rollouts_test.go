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

func TestARolloutIsStartedAndADryRunStartsNone(t *testing.T) {
	s := newRolloutStub()
	f := start(t, server.Config{Controller: s})
	ctx, o := t.Context(), &crossfadev1.ChangeOptions{Actor: "ann"}
	r1 := &crossfadev1.Rollout{Name: "r1"}
	dry, err := f.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Rollout: r1, DryRun: true, Options: o})
	if err != nil || dry.GetChange() != nil || dry.GetStatus().GetName() != "r1" || dry.GetEarliestEnd().AsDuration() != 3*time.Minute {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	got, err := f.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Rollout: r1, Options: o})
	if err != nil || got.GetChange().GetRevision() != 1 || got.GetStatus().GetRun() != "r1@1" || got.GetEarliestEnd().AsDuration() != 3*time.Minute {
		t.Errorf("start: %v, %v", got, err)
	}
	if _, err := f.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Name: "r2", Options: o}); err != nil {
		t.Errorf("start by name: %v", err)
	}
	acted, err := f.ActOnRollout(ctx, &crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "approve", Step: 2, Options: o})
	if err != nil || acted.GetStatus().GetName() != "r1" {
		t.Errorf("approve: %v, %v", acted, err)
	}
	if got := s.heard(); got != "start r1 lease 0s by ann, start r2 lease 0s by ann, approve r1 2 by ann" {
		t.Errorf("the controller was told: %s", got)
	}
}

func TestWhoMayNotIsDenied(t *testing.T) {
	s := newRolloutStub()
	s.refused = &policy.Error{Kind: policy.Denied, Code: "not_approver", Field: "action", Value: "approve", Message: "only who has role approver may"}
	f := start(t, server.Config{Controller: s})
	_, err := f.ActOnRollout(t.Context(), &crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "approve"})
	if problems, _ := details(t, err); status.Code(err) != codes.PermissionDenied || len(problems) != 1 || problems[0].GetCode() != "not_approver" {
		t.Errorf("%v with %v", err, problems)
	}
}

func TestBoundsOfRollouts(t *testing.T) {
	f := start(t, server.Config{Controller: newRolloutStub()})
	r1, key := &crossfadev1.Rollout{Name: "r1"}, &crossfadev1.ChangeOptions{IdempotencyKey: "k"}
	startOf := func(r *crossfadev1.StartRolloutRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := f.StartRollout(ctx, r); return err }
	}
	act := func(r *crossfadev1.ActOnRolloutRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := f.ActOnRollout(ctx, r); return err }
	}
	canary := func(r *crossfadev1.RunCanaryRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			w, err := f.RunCanary(ctx, r)
			if err == nil {
				_, err = w.Recv()
			}
			return err
		}
	}
	for _, c := range []struct {
		name        string
		call        func(context.Context) error
		code, field string
	}{
		{"start of nothing", startOf(&crossfadev1.StartRolloutRequest{}), "one_of", "rollout"},
		{"start of two", startOf(&crossfadev1.StartRolloutRequest{Rollout: r1, Name: "r"}), "one_of", "rollout"},
		{"start with escape", startOf(&crossfadev1.StartRolloutRequest{Name: "a\x1b[2J"}), "not_printable", "name"},
		{"act on nothing", act(&crossfadev1.ActOnRolloutRequest{Action: "pause"}), "required", "name"},
		{"act without action", act(&crossfadev1.ActOnRolloutRequest{Name: "r1"}), "action_unknown", "action"},
		{"act of another kind", act(&crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "Approve"}), "action_unknown", "action"},
		{"act on a step below 0", act(&crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "approve", Step: -1}), "out_of_range", "step"},
		{"act on a step that no plan has", act(&crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "approve", Step: 10001}), "out_of_range", "step"},
		{"page too large", func(ctx context.Context) error {
			_, err := f.ListRollouts(ctx, &crossfadev1.ListRolloutsRequest{PageSize: 1001})
			return err
		}, "out_of_range", "pageSize"},
		{"status without name", func(ctx context.Context) error {
			_, err := f.GetRollout(ctx, &crossfadev1.GetRolloutRequest{})
			return err
		}, "required", "name"},
		{"watch without name", func(ctx context.Context) error {
			w, err := f.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{})
			if err == nil {
				_, err = w.Recv()
			}
			return err
		}, "required", "name"},
		{"canary of nothing", canary(&crossfadev1.RunCanaryRequest{Options: key}), "required", "rollout"},
		{"canary that cannot be waited for again", canary(&crossfadev1.RunCanaryRequest{Rollout: r1}), "required", "options.idempotencyKey"},
		{"lease too short", canary(&crossfadev1.RunCanaryRequest{Rollout: r1, Options: key, Lease: durationpb.New(4 * time.Second)}), "out_of_range", "lease"},
		{"lease below 0", canary(&crossfadev1.RunCanaryRequest{Rollout: r1, Options: key, Lease: durationpb.New(-time.Minute)}), "out_of_range", "lease"},
		{"lease too long", canary(&crossfadev1.RunCanaryRequest{Rollout: r1, Options: key, Lease: durationpb.New(25 * time.Hour)}), "out_of_range", "lease"},
		{"lease that is none", canary(&crossfadev1.RunCanaryRequest{Rollout: r1, Options: key, Lease: &durationpb.Duration{Seconds: 1 << 62}}), "out_of_range", "lease"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := c.call(ctx)
			problems, _ := details(t, err)
			if status.Code(err) != codes.InvalidArgument || len(problems) == 0 || problems[0].GetCode() != c.code || problems[0].GetField() != c.field {
				t.Errorf("%v with %v, want InvalidArgument with %s of %s", err, problems, c.code, c.field)
			}
		})
	}
}

func TestRolloutsAreInOrderWhateverTheControllerSays(t *testing.T) {
	f := start(t, server.Config{Controller: newRolloutStub()})
	var got []string
	for token, calls := "", 0; calls == 0 || token != ""; calls++ {
		p, err := f.ListRollouts(t.Context(), &crossfadev1.ListRolloutsRequest{PageSize: 2, PageToken: token, Service: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.GetItems() {
			got = append(got, r.GetName()+" of "+r.GetService())
		}
		token = p.GetNextPageToken()
	}
	if want := "a of orders, b of orders, c of orders"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// watchRollout watches r1, which has a status already.
func watchRollout(t *testing.T, f *fixture) interface {
	Recv() (*crossfadev1.WatchRolloutResponse, error)
} {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	w, err := f.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{Name: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := w.Recv(); err != nil || e.GetStatus().GetName() != "r1" || e.GetTime() == nil {
		t.Fatalf("first: %v, %v", e, err)
	}
	return w
}

func TestAWatchOfARolloutEndsWithIt(t *testing.T) {
	s := newRolloutStub()
	s.put(baking("r1", "r1@1"))
	f := start(t, server.Config{Controller: s})
	w := watchRollout(t, f)
	for _, state := range []string{"AwaitingGate", "Paused", "Frozen", "RollingBack", "RolledBack"} {
		st := baking("r1", "r1@1")
		st.State = state
		s.put(st)
		if e, err := w.Recv(); err != nil || e.GetStatus().GetState() != state {
			t.Fatalf("%v, %v; want %s", e, err, state)
		}
	}
	if e, err := w.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, %v", e, err)
	}
}

func TestCountsOfARolloutAreToldSeldomAndItsStepsAtOnce(t *testing.T) {
	s := newRolloutStub()
	s.put(baking("r1", "r1@1"))
	f := start(t, server.Config{Controller: s})
	w := watchRollout(t, f)
	began := time.Now()
	const changes = 500
	for i := range changes {
		st := baking("r1", "r1@1")
		st.Weight = int32(i)
		if i == changes-1 {
			st.State = "Completed"
		}
		s.put(st)
	}
	took, messages := time.Since(began), 0
	for {
		e, err := w.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		messages++
		if e.GetStatus().GetState() == "Completed" && e.GetStatus().GetWeight() != changes-1 {
			t.Errorf("the end has weight %d", e.GetStatus().GetWeight())
		}
	}
	if most := int(took/(200*time.Millisecond)) + 2; messages < 1 || messages > most {
		t.Errorf("%d messages of %d changes in %v, want at most %d", messages, changes, took, most)
	}
}

func TestAWatchOfARolloutThatIsDeletedSaysSo(t *testing.T) {
	s := newRolloutStub()
	s.put(baking("r1", "r1@1"))
	f := start(t, server.Config{Controller: s})
	w := watchRollout(t, f)
	s.mu.Lock()
	delete(s.live, "r1")
	s.tell()
	s.mu.Unlock()
	if e, err := w.Recv(); status.Code(err) != codes.NotFound {
		t.Errorf("%v, %v; want NotFound", e, err)
	}
}

func TestStopEndsAWatchOfARollout(t *testing.T) {
	s := newRolloutStub()
	s.put(baking("r1", "r1@1"))
	f := start(t, server.Config{Controller: s})
	w := watchRollout(t, f)
	f.api.Stop(f.grpc, timeout)
	_, err := w.Recv()
	if problems, _ := details(t, err); status.Code(err) != codes.Unavailable || len(problems) != 1 || problems[0].GetCode() != "server_stopping" {
		t.Errorf("%v with %v", err, problems)
	}
}
