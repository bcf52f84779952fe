package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func mirrorDoc() *crossfadev1.Mirror {
	return &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: "m1", Service: "orders", Control: "ecs", Candidate: "eks", Share: 150, MinPairs: 5000,
		Run: &crossfadev1.MirrorRun{Id: "r1", Started: before(12 * time.Minute)},
	}
}

func mirrorChange(action string) *crossfadev1.Change {
	return &crossfadev1.Change{
		Service: "m1", Kind: "Mirror", Action: action, Revision: 44, Recorded: true, Fleet: &crossfadev1.FleetState{Name: "default", Connected: 3, Acked: 3, AckMs: 4.25},
	}
}

func mirrorsAnswer() *crossfadev1.ListMirrorsResponse {
	return &crossfadev1.ListMirrorsResponse{Items: []*crossfadev1.MirrorStatus{
		{
			Mirror: "m1", Service: "orders", Mode: "compare", Control: "ecs", Candidate: "eks", State: "running", Verdict: "Fail", Mirrored: 12345, Compared: 12000, Findings: 2,
			Started: before(12 * time.Minute), Ends: before(-48 * time.Minute), Revision: 44,
		},
		{
			Mirror: "m2", Service: "payments", Mode: "dark", Candidate: "eks", State: "ended", Verdict: "Inconclusive", Mirrored: 512,
			Started: before(3 * time.Hour), Ends: before(2 * time.Hour), EndedBy: "rolled_back", Revision: 41,
		},
	}}
}

// difference is a difference of a state, of so many of 12,000 pairs.
func difference(state, endpoint, kind, path string, count, odd, oddControl int64, noise float64) *crossfadev1.MirrorDifference {
	rate := float64(count) / 12000
	return &crossfadev1.MirrorDifference{
		Endpoint: endpoint, Kind: kind, Path: path, Count: count, Compared: 12000, Rate: rate, Low: rate * 0.9, High: rate * 1.1, NoiseRate: noise, NoisePool: 2400,
		FirstSeen: before(11 * time.Minute), LastSeen: before(2 * time.Second), State: state, OddCandidate: odd, OddControl: oddControl,
		Example: &crossfadev1.MirrorExample{
			Control:   &crossfadev1.MirrorShape{Type: "string", Length: 12, Hash: "0a1b2c3d4e5f6071"},
			Candidate: &crossfadev1.MirrorShape{Type: "string", Length: 14, Hash: "9eff4df00e69c021"},
		},
	}
}

// mirrorReport is the report of an experiment that runs, with so many findings (none, three or more), and then it has open ones and noise too.
func mirrorReport(findings int) *crossfadev1.MirrorReport {
	r := &crossfadev1.MirrorReport{
		Mirror: "m1", Service: "orders", Mode: "compare", Control: "ecs", Candidate: "eks", State: "running", Verdict: "Pass",
		Mirrored: 12345, Compared: 12000, Unrepresentative: 40, TargetFailed: 5, Dropped: map[string]int64{"cap": 250, "stale": 40, "too_long": 10}, OverCap: 3,
		Reasons: map[string]int64{"throttled": 40, "timeout": 5}, Share: 150, MaxRps: 120.4, Comparators: 2, AskedRps: map[string]float64{"ecs": 14.4, "eks": 12},
		Endpoints: []*crossfadev1.MirrorEndpoint{
			{Endpoint: "/orders", Compared: 4000, Detectable: 0.0141}, {Endpoint: "/orders/{id}", Compared: 8000, Unrepresentative: 40, Detectable: 0.00713}, {Endpoint: "/rare", Compared: 3, Detectable: 1},
		},
		Latency: map[string]*crossfadev1.MirrorLatency{"ecs": {P50: 4.2, P90: 12.3, P99: 31}, "eks": {P50: 5, P90: 14, P99: 1240}}, Slower: 0.563, SlowerP: 0.00001,
		Run: &crossfadev1.MirrorRun{Id: "r1", Started: before(12 * time.Minute)}, Ends: before(-48 * time.Minute), Counted: before(time.Second),
	}
	if findings == 0 {
		return r
	}
	r.Verdict = "Fail"
	r.Why = []*crossfadev1.MirrorWhy{{Code: "differences", Message: fmt.Sprintf("%d differences are beyond noise", findings), Next: "look at each: fix it, or say by a rule that it is meant"}}
	status := difference("finding", "/orders/{id}", "status", "status", 3600, 3300, 1, 0)
	status.Example = &crossfadev1.MirrorExample{Control: &crossfadev1.MirrorShape{Type: "status", Value: "200"}, Candidate: &crossfadev1.MirrorShape{Type: "status", Value: "500"}}
	status.Variants = []*crossfadev1.MirrorVariant{{Control: "200", Candidate: "500", Count: 3000}, {Control: "206", Candidate: "200", Count: 500}}
	missing := difference("finding", "/orders", "json_missing", "$.items[*].price.currency", 480, 130, 0, 0)
	missing.Example.Candidate = &crossfadev1.MirrorShape{Type: "absent"}
	r.Differences = []*crossfadev1.MirrorDifference{status, missing, difference("finding", "/orders", "json_number", "$.total", 144, 40, 2, 0.004)}
	for i := 3; i < findings; i++ {
		r.Differences = append(r.Differences, difference("finding", fmt.Sprintf("/a/long/path/of/several/segments/{id}/that/goes/on/and/on/%d", i), "header_changed", fmt.Sprintf("$.a.deeply.nested[*].document.with.long.names.%d", i), int64(500-i), 35, 0, 0))
	}
	r.Differences = append(r.Differences,
		difference("open", "/orders/{id}", "json_order", "$.tags.{key}", 24, 11, 0, 0),
		difference("noise", "/orders", "json_number", "$.stock", 1200, 130, 128, 0.098),
		difference("blind", "/orders", "json_value", "$.offers[*].id", 11800, 12, 9, 0.985),
		difference("blind", "/orders", "json_number", "$.offers[*].price", 9100, 1032, 1011, 0.75))
	r.Blind = 2
	for _, d := range r.Differences {
		d.AskedAgain = d.OddCandidate
	}
	return r
}

// mirrorsToo answers for experiments what depends on what is asked.
func mirrorsToo(others func(context.Context, string, proto.Message) (proto.Message, error)) func(context.Context, string, proto.Message) (proto.Message, error) {
	return func(ctx context.Context, method string, in proto.Message) (proto.Message, error) {
		switch in := in.(type) {
		case *crossfadev1.GetRequest:
			if in.GetKind() == "mirror" {
				return &crossfadev1.GetResponse{Document: mirrorDocument(mirrorDoc())}, nil
			}
		case *crossfadev1.StartMirrorRequest:
			out := &crossfadev1.StartMirrorResponse{
				Mirror: in.GetMirror(), Estimate: &crossfadev1.MirrorEstimate{LiveRps: 1204.4, AddedRps: map[string]float64{"ecs": 14.4, "eks": 12}, LimitedBy: "share", MaxRps: 120.4},
			}
			if out.Mirror == nil {
				out.Mirror = mirrorDoc()
			}
			if out.Mirror.Control == "" {
				out.Mirror.Control = "ecs"
			}
			if !in.GetDryRun() {
				out.Change = mirrorChange("mirror start")
			}
			return out, nil
		}
		return others(ctx, method, in)
	}
}

// learning is the report of the first minute.
func learning() *crossfadev1.MirrorReport {
	return &crossfadev1.MirrorReport{
		Mirror: "m1", Service: "orders", Mode: "compare", Control: "ecs", Candidate: "eks", State: "learning", Verdict: "Inconclusive", Mirrored: 31, Dropped: map[string]int64{"learning": 31},
		Share: 150, MaxRps: 120.4, Comparators: 1, Run: &crossfadev1.MirrorRun{Id: "r1", Started: before(10 * time.Second)}, Ends: before(-time.Hour), Counted: before(time.Second),
		Why: []*crossfadev1.MirrorWhy{{Code: "too_few", Message: "0 pairs were compared; 5000 are needed", Next: "wait, or raise the share or maxRps"}},
		Seen: []*crossfadev1.MirrorPath{
			{Method: "GET", Endpoint: "/orders/{id}", Count: 21}, {Method: "GET", Endpoint: "/orders", Count: 9}, {Method: "GET", Endpoint: "/account/logout", Count: 1, Excluded: "it looks as if it had side effects"},
		},
	}
}

// ended is a report after the end.
func ended(r *crossfadev1.MirrorReport, why string) *crossfadev1.MirrorReport {
	r = proto.CloneOf(r)
	r.State, r.Comparators, r.AskedRps = "ended", 0, nil
	r.Run.Ended, r.Run.Why = timestamppb.New(now), why
	return r
}

func dark() *crossfadev1.MirrorReport {
	return &crossfadev1.MirrorReport{
		Mirror: "m2", Service: "payments", Mode: "dark", Candidate: "eks", State: "running", Verdict: "Inconclusive", Mirrored: 512, Answered: 500, TargetFailed: 12, Share: 100, MaxRps: 50, Comparators: 1,
		Why:     []*crossfadev1.MirrorWhy{{Code: "dark", Message: "nothing is compared: the candidate alone is asked"}},
		Reasons: map[string]int64{"timeout": 12}, Latency: map[string]*crossfadev1.MirrorLatency{"eks": {P50: 5, P90: 14, P99: 1240}},
		Run: &crossfadev1.MirrorRun{Id: "r2", Started: before(12 * time.Minute)}, Ends: before(-48 * time.Minute),
	}
}
