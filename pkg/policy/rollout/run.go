package rollout

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Asked is a document as somebody asked for it: without its run, which is the server's to write.
func Asked(doc *crossfadev1.Rollout) *crossfadev1.Rollout {
	if doc.GetRun() == nil {
		return doc
	}
	out := proto.CloneOf(doc)
	out.Run = nil
	return out
}

// SameRollout tells whether two documents ask for the same, whatever their runs.
func SameRollout(a, b *crossfadev1.Rollout) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	return a == nil || proto.Equal(Asked(a), Asked(b))
}

// Public is a document as answers show it: without the walk, which only a server can read.
func Public(doc *crossfadev1.Rollout) *crossfadev1.Rollout {
	if len(doc.GetRun().GetWalk()) == 0 {
		return doc
	}
	out := proto.CloneOf(doc)
	out.Run.Walk = nil
	return out
}

// StartRun is the document with a new run of a plan, in the place of an earlier one. The plan has its ID and starter; lease 0: it walks alone; split is
// what is live.
func StartRun(doc *crossfadev1.Rollout, p *Plan, lease time.Duration, split Split, now time.Time) *crossfadev1.Rollout {
	out := proto.CloneOf(doc)
	out.Run = &crossfadev1.RolloutRun{Id: p.ID, Started: timestamppb.New(now), Starter: p.Starter, StarterName: p.StarterName, From: p.From, Primary: p.Primary}
	if lease > 0 {
		out.Run.Lease = durationpb.New(lease)
	}
	show(out.Run, Start(p, split, now))
	return out
}

// WithState is the document with its run at a state. One that was never started stays as it is.
func WithState(doc *crossfadev1.Rollout, s State) *crossfadev1.Rollout {
	out := proto.CloneOf(doc)
	if out.GetRun() != nil {
		show(out.Run, s)
	}
	return out
}

// show writes a state into a run.
func show(run *crossfadev1.RolloutRun, s State) {
	walk, err := json.Marshal(s)
	if err != nil {
		panic(err) // cannot be: it holds texts, whole numbers and times of this century
	}
	run.State, run.Step, run.Weight, run.Walk = string(s.Phase), int32(s.Step)+1, int32(s.Weight), walk
	run.Reason = strings.ToValidUTF8(s.Reason, "�") // protobuf has no other texts
	run.Ended = nil
	if s.Phase.Over() {
		run.Ended = timestamppb.New(s.Since)
	}
}

// ReadWalk returns the state that a document's run was left in. The error is a *policy.Error.
func ReadWalk(doc *crossfadev1.Rollout) (State, error) {
	run := doc.GetRun()
	broken := func(code, message string) (State, error) {
		return State{}, &policy.Error{Kind: policy.Internal, Code: code, Field: "run.walk", Value: run.GetId(), Message: message, Next: "start the rollout again"}
	}
	if run == nil {
		return broken("run_missing", "the rollout was never started")
	}
	var s State
	if err := json.Unmarshal(run.GetWalk(), &s); err != nil {
		return broken("walk_unreadable", "where the run is cannot be read")
	}
	switch {
	case s.Version != stateVersion:
		return broken("walk_version", fmt.Sprintf("where the run is was written by another version (%d; this one reads %d)", s.Version, stateVersion))
	case s.Plan != run.GetId():
		return broken("walk_foreign", "where the run is belongs to another run")
	}
	return s, nil
}
