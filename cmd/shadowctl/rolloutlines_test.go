package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestALogOfARolloutIsShort: a verdict that swings with each look is a line every two seconds at most, and what a state waits for is said when it lasts, also
// if the server has nothing new to say.
func TestALogOfARolloutIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &notify{each: func(string) {}} // a timer writes, too
		v := newView(&app{out: out, err: &bytes.Buffer{}, now: time.Now, env: func(string) string { return "" }, output: "table"}, "")
		see := func(st *crossfadev1.RolloutStatus) {
			t.Helper()
			if err := v.see(timestamppb.Now(), st, ""); err != nil {
				t.Fatal(err)
			}
		}
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait() // for what the timer writes
		}
		for i := range 40 { // for 10 s
			st := baking()
			if st.Verdict, st.Guards[1].Verdict = "Pass", "Pass"; i%2 == 1 {
				st.Verdict, st.Guards[1].Verdict = "Inconclusive", "Inconclusive"
			}
			st.WaitingFor = "needs " + time.Duration(i).String() + " more"
			see(st)
			wait(250 * time.Millisecond)
		}
		swings, waits := strings.Count(out.String(), "Baking"), strings.Count(out.String(), "needs")
		if swings > 6 || waits != 1 || !strings.Contains(out.String(), "Inconclusive  err: error rate 0.73 %") {
			t.Errorf("%d lines, and %d of what it waits for:\n%s", swings, waits, out.String())
		}
		wait(time.Minute)
		out.Reset()
		see(awaiting())
		wait(4 * time.Second)
		if got := strings.Count(out.String(), "\n"); got != 1 {
			t.Errorf("%d lines at once:\n%s", got, out.String())
		}
		wait(time.Hour)
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "r1  it stays at 10% until somebody") {
			t.Errorf("after an hour:\n%s", got)
		}
		other := awaiting()
		other.WaitingFor = "the store has not answered for 2s; " + other.WaitingFor
		see(other)
		if got := out.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "r1  the store has not answered") {
			t.Errorf("another thing to wait for:\n%s", got)
		}
		st := baking()
		st.WaitingFor = "bakes"
		see(st)
		v.lines.close()
		wait(time.Hour)
		if got := strings.Count(out.String(), "\n"); got != 4 {
			t.Errorf("%d lines after the end:\n%s", got, out.String())
		}
	})
}

// TestTheEndSaysWhatLedToIt, not that everything is back.
func TestTheEndSaysWhatLedToIt(t *testing.T) {
	for want, events := range map[string]string{
		"guard lat":                        "started, rollback: guard lat, rolledback: back",
		"by bob":                           "rollback: by bob, aborted: back",
		"by ann":                           "aborted: by ann",
		"by bob; it was frozen: guard lat": "frozen: guard lat, rollback: by bob, aborted: back",
		"guard err":                        "frozen: primary, resumed, rollback: guard err, rolledback: back",
		"the primary has everything":       "",
	} {
		st := backed()
		st.Notes = nil
		for _, e := range strings.Split(events, ", ") {
			event, text, _ := strings.Cut(e, ": ")
			st.Notes = append(st.Notes, &crossfadev1.RolloutNote{Event: event, Text: text})
		}
		if got := endReason(st); got != want {
			t.Errorf("%s: %q", events, got)
		}
	}
	d := serve(t, &double{watchRollout: showing(backed())})
	if r := d.at(t, "rollout", "watch", "r1", "-o", "json"); !strings.Contains(r.out, `"verdict":"Fail","reason":"a guard failed: guard lat: p99 12.4s`) {
		t.Errorf("exit %d: %s", r.exit, r.out)
	}
}

// TestARunWithoutGuards has to be meant.
func TestARunWithoutGuards(t *testing.T) {
	d := serve(t, &double{runCanary: canary(complete())})
	for args, want := range map[string]struct {
		exit int
		err  string
	}{
		"":                             {2, "error: the rollout has no guards: nothing would stop it\ngive at least one, for example --guard 'errorRate<=0.5%' (in a file: guards), or say --no-guards\n"},
		"--no-guards":                  {0, noGuards + "\n"},
		"--no-guards --guard p99<=10s": {2, "error: --no-guards is for a rollout without guards, and this one has 1 guard\n"},
	} {
		r := d.at(t, append(strings.Fields("rollout run r1 --service orders --to eks --preset 10"), strings.Fields(args)...)...)
		if r.exit != want.exit || r.err != want.err {
			t.Errorf("%s: exit %d: %s", args, r.exit, r.err)
		}
	}
}

// TestMistakesInRolloutFlags are told with what to write.
func TestMistakesInRolloutFlags(t *testing.T) {
	d := serve(t, &double{answer: canned(nil)})
	for args, want := range map[string]string{
		"rollout start r1 --bake 5":   "error: --bake: \"5\": must be a duration such as 500ms, 1.5s or 24h\nadd the unit: 5s or 5m\n",
		"rollout approve r1 --step x": "error: --step: \"x\": must be a whole number\nusage: shadowctl rollout approve ROLLOUT [flags]\n",
		"rollout start r1 --service orders --to eks --preset 10,20 --approve-before 50%:approver":              "error: --approve-before: \"50%:approver\": is before no step: the weights are 10,20\nwrite for example 20%:approver, or add 50 to --preset\n",
		"rollout start r1 -f testdata/rollout.yaml --bake 5m":                                                  "error: what a file says is not said again by a name or flags: give either\nleave out r1, --bake, and set in the file what is to be otherwise\n",
		"rollout start r1 --service orders --to eks --preset 10 --approve-before 10%:a --approve-before 10%:b": "error: --approve-before: \"10%:b\": this step has a gate already\none role approves before a step: leave one of them out\n",
	} {
		if r := d.at(t, strings.Fields(args)...); r.exit != 2 || r.err != want {
			t.Errorf("%s: exit %d\ngot  %s\nwant %s", args, r.exit, r.err, want)
		}
	}
}

// TestListsOfOneService tell a service without any from one that is not there; rollouts on their way come first.
func TestListsOfOneService(t *testing.T) {
	old, recent := complete(), complete()
	old.Name, recent.Name, old.Ended = "a", "b", before(time.Hour)
	d := serve(t, &double{answer: func(_ context.Context, method string, in proto.Message) (proto.Message, error) {
		switch in := in.(type) {
		case *crossfadev1.GetRequest:
			if in.GetName() != "idle" {
				return nil, status.Error(codes.NotFound, "there is no service of this name")
			}
			return &crossfadev1.GetResponse{Document: ordersDocument(9000)}, nil
		case *crossfadev1.ListRolloutsRequest:
			if in.GetService() == "" {
				return &crossfadev1.ListRolloutsResponse{Items: []*crossfadev1.RolloutStatus{old, recent, baking()}}, nil
			}
			return &crossfadev1.ListRolloutsResponse{}, nil
		case *crossfadev1.ListMirrorsRequest:
			if in.GetService() == "" {
				return mirrorsAnswer(), nil
			}
			return &crossfadev1.ListMirrorsResponse{}, nil
		}
		return nil, status.Errorf(codes.Unimplemented, "no answer for %s", method)
	}})
	for _, kind := range []string{"rollout", "mirror"} {
		if r := d.at(t, kind, "list", "idle"); r.exit != 0 || r.out != "" || !strings.Contains(r.err, "of idle. Those of other services:\n  shadowctl "+kind+" list") {
			t.Errorf("%s: exit %d: %s%s", kind, r.exit, r.out, r.err)
		}
		if r := d.at(t, kind, "list", "nowhere", "-o", "json"); r.exit != 4 || r.out != "" {
			t.Errorf("%s: exit %d: %s%s", kind, r.exit, r.out, r.err)
		}
	}
	r := d.at(t, "rollout", "list")
	if first, then, last := strings.Index(r.out, "\nr1 "), strings.Index(r.out, "\nb "), strings.Index(r.out, "\na "); first < 0 || first > then || then > last {
		t.Errorf("the order is\n%s", r.out)
	}
}

// TestNothingWasSeenYet: what is not known is no zero.
func TestNothingWasSeenYet(t *testing.T) {
	for _, g := range []*crossfadev1.GuardStatus{{Metric: "errorRate"}, {Metric: "p99", Against: "ecs"}} {
		if value, limit, evidence := valueCell(g).text, limitWords(g), evidenceCell(g).text; value+limit+evidence != "---" {
			t.Errorf("%v: %s %s %s", g, value, limit, evidence)
		}
	}
	if got := valueCell(&crossfadev1.GuardStatus{Metric: "p99", Against: "ecs", Samples: 7, Limit: 1.2, Verdict: "Inconclusive"}).text; got != "-" {
		t.Errorf("a ratio without one side is %s", got)
	}
}
