package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func rolloutDoc() *crossfadev1.Rollout {
	return &crossfadev1.Rollout{
		ApiVersion: "crossfade/v1", Kind: "Rollout", Name: "r1", Service: "orders", To: "eks",
		Steps: []*crossfadev1.RolloutStep{
			{Weight: 1000, Bake: durationpb.New(5 * time.Minute), MinRequests: proto.Int64(500)},
			{Weight: 5000, Bake: durationpb.New(10 * time.Minute), Gate: &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver", NotStarter: true}}},
			{Weight: 10000, Bake: durationpb.New(30 * time.Minute)},
		},
		Guards: []*crossfadev1.RolloutGuard{
			{Name: "lat", Metric: "p99", Max: "10s", Window: durationpb.New(10 * time.Second)},
			{Name: "err", Metric: "errorRate", Max: "0.5%"},
			{Name: "rel", Metric: "p99", MaxRatio: 1.2, Against: "ecs"},
			{Name: "floor", Metric: "requests", Min: "100"},
			{Name: "mir", Mirror: "m1"},
			{Name: "lost", Max: "0.5", Min: "0", Failures: 5, Prometheus: &crossfadev1.RolloutQuery{Server: "prod", Query: `sum(rate(orders_lost_total{origin="eks"}[1m]))`}},
		},
		Hook: &crossfadev1.RolloutHook{Url: "https://hooks.test/crossfade"},
		Run:  &crossfadev1.RolloutRun{Id: "r1@3f9a2c1b", Started: before(12 * time.Minute), Starter: "ann", From: "ecs", Primary: "ecs", State: "Baking", Step: 1, Weight: 1000, Reason: "the proxies have the step's weight"},
	}
}

func guardStatuses() []*crossfadev1.GuardStatus {
	window := durationpb.New(10 * time.Second)
	return []*crossfadev1.GuardStatus{
		{Name: "lat", Metric: "p99", Verdict: "Pass", Value: 0.2123, Limit: 10, Samples: 1234, Window: window, Code: "ok", Message: "lat: p99 212ms in the last 10s (0 of 1234 requests took longer than that limit), limit 10s"},
		{Name: "err", Metric: "errorRate", Verdict: "Inconclusive", Value: 0.0073, Limit: 0.005, Samples: 1234, Window: window, Code: "over", Evidence: 0.62, Message: "err: error rate 0.73 % in the last 10s (9 of 1234), limit 0.5 %, which may still be chance"},
		{Name: "rel", Metric: "p99", Verdict: "Pass", Value: 1.034, Limit: 1.2, Samples: 1234, Window: window, Code: "ok", Evidence: 0.01, Against: "ecs", Message: "rel: p99 1.03 times that of ecs in the last 10s (212ms against 205ms), limit 1.2 times"},
		{Name: "floor", Metric: "requests", Verdict: "Pass", Value: 1234, Limit: 100, Samples: 1234, Window: window, Code: "ok", Message: "floor: 1234 requests in the last 10s, of at least 100"},
		{Name: "mir", Metric: "mirror", Verdict: "Pass", Code: "ok", Message: "mirror m1: 12,000 pairs compared, no difference beyond noise"},
		{Name: "lost", Metric: "prometheus", Verdict: "Error", Limit: 0.5, Code: "not_asked", Message: "prod cannot be asked: connection refused", Next: "look at the Prometheus of the server's settings"},
	}
}

func stepStatuses() []*crossfadev1.RolloutStepStatus {
	return []*crossfadev1.RolloutStepStatus{
		{Step: 1, Weight: 1000, Bake: durationpb.New(5 * time.Minute), Baked: durationpb.New(150 * time.Second), MinRequests: 500, Requests: 340, State: "now"},
		{Step: 2, Weight: 5000, Bake: durationpb.New(10 * time.Minute), Gate: "approver", State: "ahead"},
		{Step: 3, Weight: 10000, Bake: durationpb.New(30 * time.Minute), State: "ahead"},
	}
}

// baking is a rollout in the middle of its first step.
func baking() *crossfadev1.RolloutStatus {
	return &crossfadev1.RolloutStatus{
		Name: "r1", Service: "orders", State: "Baking", Step: 1, Weight: 1000, Verdict: "Error", To: "eks", From: "ecs", Primary: "ecs", Run: "r1@3f9a2c1b", Revision: 51, OnFailure: "rollback",
		WaitingFor: "bakes at step 1 of 3 (10%), and needs 2m30s more of 5m0s with a pass, 160 more of 500 requests, a pass (now Error: lost: prod cannot be asked); then the gate before 50%",
		Reason:     "the proxies have the step's weight", Since: before(4 * time.Minute), Started: before(12 * time.Minute), StartedBy: "ann", Guards: guardStatuses(), Steps: stepStatuses(),
		PrimaryGuards: []*crossfadev1.GuardStatus{
			{Name: "lat", Metric: "p99", Verdict: "Pass", Value: 0.205, Limit: 10, Samples: 11021, Window: durationpb.New(10 * time.Second), Code: "ok"},
			{Name: "err", Metric: "errorRate", Verdict: "Pass", Value: 0.00002, Limit: 0.005, Samples: 11021, Window: durationpb.New(10 * time.Second), Code: "ok"},
		},
		Notes: []*crossfadev1.RolloutNote{
			{Event: "started", Time: before(12 * time.Minute), Step: 1, State: "Progressing", Text: "the target is ready", Id: "r1@3f9a2c1b/note-1"},
			{Event: "alarm", Time: before(2 * time.Minute), Step: 1, Weight: 1000, State: "Baking", Text: "the primary is unhealthy, and nothing is done about it", Alarm: true, Id: "r1@3f9a2c1b/note-2"},
		},
		Drift: "proxy edge-2 has ecs 100% · eks 0%, and should have ecs 90% · eks 10%", Undelivered: 1,
	}
}

// inState is a rollout in another state, from the beginning of a step of which the earlier ones are done.
func inState(state string, step int, weight int32, waits, reason string) *crossfadev1.RolloutStatus {
	st := baking()
	st.State, st.Step, st.Weight, st.WaitingFor, st.Reason, st.Since = state, int32(step), weight, waits, reason, before(30*time.Second)
	st.Verdict, st.Drift, st.Undelivered, st.PrimaryGuards, st.Guards = "Pass", "", 0, nil, st.Guards[:1]
	for i, s := range st.Steps {
		s.Baked, s.Requests = nil, 0
		switch {
		case i+1 < step:
			s.State = "done"
		case i+1 == step:
			s.State = "now"
		}
	}
	return st
}

func awaiting() *crossfadev1.RolloutStatus {
	return inState("AwaitingGate", 2, 1000, "stays at 10% until somebody with role approver other than ann approves step 2 of 3 (50%)", "the step passed, the next needs an approval")
}

func paused() *crossfadev1.RolloutStatus {
	return approved(inState("Paused", 2, 5000, "is paused at 50%: paused by bob: lunch; it goes on as Baking when somebody resumes it", "paused by bob: lunch"))
}

func frozen() *crossfadev1.RolloutStatus {
	const ill = "ecs: err: error rate 31 % in the last 1s (43 of 140), limit 0.5 %"
	const why = "the primary is unhealthy, so nothing is moved to or from it: " + ill
	return approved(inState("Frozen", 2, 5000, "is frozen at 50%: "+why+" (the primary is unhealthy: "+ill+"); somebody has to look, then resume or abort it", why))
}

func approved(st *crossfadev1.RolloutStatus) *crossfadev1.RolloutStatus {
	st.Steps[st.GetStep()-1].ApprovedBy = "bob"
	return st
}

func backed() *crossfadev1.RolloutStatus {
	st := inState("RolledBack", 1, 0, "is over: the primary has everything", "the primary has everything")
	st.Guards[0].Verdict, st.Guards[0].Value, st.Guards[0].Evidence, st.Verdict = "Fail", 12.4, 1, "Fail"
	st.Guards[0].Message = "lat: p99 12.4s in the last 1s (31 of 140 requests took longer than that limit), limit 10s, and that is no chance"
	st.Ended = timestamppb.New(now)
	st.Notes = append(st.Notes,
		&crossfadev1.RolloutNote{Event: "rollback", Time: before(2 * time.Second), Step: 1, Weight: 1000, State: "RollingBack", Text: "a guard failed: guard " + st.Guards[0].Message, Id: "r1@3f9a2c1b/note-3"},
		&crossfadev1.RolloutNote{Event: "rolledback", Time: before(time.Second), Step: 1, State: "RolledBack", Text: "the primary has everything", Id: "r1@3f9a2c1b/note-4"})
	return st
}

func aborted() *crossfadev1.RolloutStatus {
	st := inState("Aborted", 1, 0, "is over: aborted: the primary has everything", "aborted: the primary has everything")
	st.Notes = append(st.Notes,
		&crossfadev1.RolloutNote{Event: "rollback", Time: before(2 * time.Second), Step: 1, Weight: 1000, State: "RollingBack", Text: "aborted by alice: the command that waited for it was interrupted", Id: "r1@3f9a2c1b/note-3"},
		&crossfadev1.RolloutNote{Event: "aborted", Time: before(time.Second), Step: 1, State: "Aborted", Text: st.Reason, Id: "r1@3f9a2c1b/note-4"})
	st.Ended = timestamppb.New(now)
	return st
}

func complete() *crossfadev1.RolloutStatus {
	st := inState("Completed", 3, 10000, "is complete; ecs is kept for 24h0m0s more, for a rollback", "the last step passed")
	st.Retained, st.Ended = durationpb.New(24*time.Hour), timestamppb.New(now)
	return st
}

// planned is the status of a start or of a dry run.
func planned() *crossfadev1.RolloutStatus {
	st := inState("Pending", 1, 0, "waits until eks is ready: it is", "started by ann")
	st.Guards, st.Notes, st.Verdict = guardStatuses(), nil, ""
	at := time.Duration(0)
	for _, s := range st.Steps {
		s.State, s.Earliest = "ahead", durationpb.New(at)
		at += s.GetBake().AsDuration()
	}
	return st
}

func rolloutChanged(action string) *crossfadev1.Change {
	return &crossfadev1.Change{
		Service: "r1", Kind: "Rollout", Action: action, Revision: 50, Recorded: true, Fleet: &crossfadev1.FleetState{Name: "default", Connected: 3}, Warnings: []string{"no source has named an endpoint of eks for 40s"},
	}
}

// rolloutsToo answers for rollouts what depends on what is asked.
func rolloutsToo(others func(context.Context, string, proto.Message) (proto.Message, error)) func(context.Context, string, proto.Message) (proto.Message, error) {
	return func(ctx context.Context, method string, in proto.Message) (proto.Message, error) {
		switch in := in.(type) {
		case *crossfadev1.GetRequest:
			if in.GetKind() == "rollout" {
				return &crossfadev1.GetResponse{Document: rolloutDocument(rolloutDoc())}, nil
			}
		case *crossfadev1.StartRolloutRequest:
			out := &crossfadev1.StartRolloutResponse{Status: planned(), EarliestEnd: durationpb.New(45 * time.Minute)}
			if !in.GetDryRun() {
				out.Change = rolloutChanged("rollout start")
			}
			return out, nil
		case *crossfadev1.ListRolloutsRequest:
			other := complete()
			other.Name, other.Service, other.Run = "r2", "payments", "r2@00000001"
			return &crossfadev1.ListRolloutsResponse{Items: []*crossfadev1.RolloutStatus{baking(), other}}, nil
		case *crossfadev1.GetRolloutRequest:
			return &crossfadev1.GetRolloutResponse{Status: baking()}, nil
		case *crossfadev1.ActOnRolloutRequest:
			states := map[string]*crossfadev1.RolloutStatus{
				"pause": paused(), "reject": paused(), "resume": baking(), "promote": awaiting(),
				"approve": inState("Progressing", 2, 1000, "sets the split for step 2 of 3 (50%)", "approved by bob"),
				"abort":   inState("RollingBack", 1, 1000, "goes back to 0%: aborted by ann", "aborted by ann"),
			}
			return &crossfadev1.ActOnRolloutResponse{Status: states[in.GetAction()]}, nil
		}
		return others(ctx, method, in)
	}
}

// rolloutText is rolloutDoc as people write it.
const rolloutText = `apiVersion: crossfade/v1
kind: Rollout
name: r1
service: orders
to: eks
steps:
  - {weight: 10%, bake: 5m, minRequests: 500}
  - {weight: 50%, bake: 10m, gate: {approval: {role: approver, notStarter: true}}}
  - {weight: 100%, bake: 30m}
guards:
  - {name: lat, metric: p99, max: 10s, window: 10s}
  - {name: err, metric: errorRate, max: 0.5%}
  - {name: rel, metric: p99, maxRatio: 1.2, against: ecs}
  - {name: floor, metric: requests, min: "100"}
  - {name: mir, mirror: m1}
  - {name: lost, min: "0", max: "0.5", failures: 5, prometheus: {server: prod, query: 'sum(rate(orders_lost_total{origin="eks"}[1m]))'}}
hook: {url: "https://hooks.test/crossfade"}
`
