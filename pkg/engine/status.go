package engine

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// maxNotes is how many notes a status shows.
const maxNotes = 64

// StatusOf is how a rollout is, by its document alone: one that is over, or that nobody walks.
func StatusOf(doc *crossfadev1.Rollout) *crossfadev1.RolloutStatus {
	st := named(doc)
	plan, _, _ := rollout.ResumeRun(doc)
	state, err := rollout.ReadWalk(doc)
	if plan != nil && err == nil {
		describe(st, plan, state)
	}
	return st
}

// named is a status with what the document itself says.
func named(doc *crossfadev1.Rollout) *crossfadev1.RolloutStatus {
	run := doc.GetRun()
	return &crossfadev1.RolloutStatus{
		Name: doc.GetName(), Service: doc.GetService(), To: doc.GetTo(), From: run.GetFrom(), Primary: run.GetPrimary(), Run: run.GetId(), State: run.GetState(),
		Step: run.GetStep(), Weight: run.GetWeight(), Reason: run.GetReason(), StartedBy: run.GetStarter(), Started: run.GetStarted(), Ended: run.GetEnded(), Verdict: string(rollout.Inconclusive),
	}
}

// describe adds to a status what a walk says.
func describe(st *crossfadev1.RolloutStatus, p *rollout.Plan, s rollout.State) {
	st.State, st.Step, st.Weight, st.Reason, st.Since = string(s.Phase), int32(s.Step)+1, int32(s.Weight), s.Reason, timestamppb.New(s.Since)
	st.OnFailure, st.WaitingFor = string(p.Failure()), rollout.Explain(p, s)
	if s.Seen.Verdict != "" {
		st.Verdict = string(s.Seen.Verdict)
	}
	if rollout.Retaining(s) {
		st.Retained = durationpb.New(rollout.RetainedFor(p, s))
	}
	st.Steps = stepsOf(p, s)
	if p.Hook != "" {
		st.Undelivered = int32(len(s.Outbox))
	}
}

func stepsOf(p *rollout.Plan, s rollout.State) []*crossfadev1.RolloutStepStatus {
	lines, _ := rollout.Timetable(p)
	var out []*crossfadev1.RolloutStepStatus
	for i, l := range lines {
		one := &crossfadev1.RolloutStepStatus{
			Step: int32(l.Step), Weight: int32(l.Weight), Bake: durationpb.New(l.Bake), MinRequests: l.MinRequests, Gate: l.Gate, Earliest: durationpb.New(l.Earliest), State: "ahead",
		}
		switch {
		case i < s.Step, s.Phase == rollout.Completed:
			one.State = "done"
		case i == s.Step && s.Phase != rollout.Pending && !s.Phase.Over():
			one.State, one.Baked, one.Requests, one.ApprovedBy = "now", durationpb.New(s.Bake.Round(time.Millisecond)), s.Requests, s.Approved
		}
		out = append(out, one)
	}
	return out
}

// show publishes how the rollout is now, if that is otherwise than before.
func (w *walker) show(s rollout.State) { w.publish(s, "") }

// showUnstored publishes what a look saw whose outcome is not stored yet. A state that nobody may rely on is not shown; that it goes back is said.
func (w *walker) showUnstored(next rollout.State) {
	s := w.state
	s.Seen = next.Seen
	var going string
	if next.Back != nil && s.Back == nil {
		going = "goes back to " + w.plan.Primary + ", which is not stored yet: " + next.Reason
	}
	w.publish(s, going)
}

func (w *walker) publish(s rollout.State, going string) {
	now := time.Now()
	st := named(w.doc)
	describe(st, w.plan, s)
	st.Revision, st.Drift = w.revision, w.sight.Drift
	if w.sight.Split.Cause != "" {
		st.Weight = int32(w.sight.Split.Weight)
	}
	if s.Phase.Over() {
		st.Ended = timestamppb.New(s.Since)
	}
	w.remarks(s.Outbox)
	st.Guards, st.PrimaryGuards = w.guardStatuses(now)
	for _, trouble := range []string{going, troubled("the split", w.splitTrouble()), troubled("the rollback", w.back.err), w.storeTrouble(now), w.lost} {
		if trouble != "" {
			st.WaitingFor = trouble + "; " + st.WaitingFor
		}
	}
	if w.remarked == w.told && proto.Equal(w.bare, st) {
		return
	}
	w.bare, w.told = proto.CloneOf(st), w.remarked
	st.Notes = slices.Clip(w.shown)
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	w.e.show(w.name, st)
}

// splitTrouble is why the split could not be set, while it is to be set.
func (w *walker) splitTrouble() error {
	if w.state.Want == nil {
		return nil
	}
	return w.split.err
}

func troubled(what string, err error) string {
	if err == nil {
		return ""
	}
	return what + ": " + sentence(err)
}

// storeTrouble is what keeps the store from taking a state.
func (w *walker) storeTrouble(now time.Time) string {
	if since := now.Sub(w.saving); !w.saving.IsZero() && since >= 2*time.Second {
		return "the store has not answered for " + since.Truncate(time.Second).String()
	}
	return troubled("the store", w.save.err)
}

// guardStatuses are in the order of the plan.
func (w *walker) guardStatuses(now time.Time) (main, primary []*crossfadev1.GuardStatus) {
	for _, g := range w.plan.Guards {
		for _, x := range w.guards {
			if x.g.Name() == g.Name {
				main = append(main, x.status(&x.result))
				if x.both {
					primary = append(primary, x.status(&x.primary))
				}
			}
		}
		for _, x := range w.mirrors {
			if x.name == g.Name {
				main = append(main, x.status())
			}
		}
		for _, x := range w.queries {
			if x.name == g.Name {
				main = append(main, x.status(now))
			}
		}
	}
	return main, primary
}

// remarks takes down what is new in an outbox.
func (w *walker) remarks(outbox []rollout.Note) {
	for _, n := range outbox {
		if !slices.ContainsFunc(w.past, func(o rollout.Note) bool { return o.ID == n.ID }) {
			w.remark(n)
		}
	}
}

// remark takes down one more note. What is shown is not changed any more.
func (w *walker) remark(n rollout.Note) {
	w.remarked++
	w.past = append(w.past, n)
	w.past = w.past[max(0, len(w.past)-maxNotes):]
	w.shown = append(w.shown, &crossfadev1.RolloutNote{
		Event: n.Event, Time: timestamppb.New(n.Time), Step: int32(n.Step), Weight: int32(n.Share), Text: n.Text, Alarm: n.Alarm, Id: n.ID, State: string(n.Phase),
	})
	w.shown = w.shown[max(0, len(w.shown)-maxNotes):]
}
