package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// shows runs commands against one report, and wants texts in what each prints, however its lines are broken.
func shows(t *testing.T, r *crossfadev1.MirrorReport, want map[string][]string) {
	t.Helper()
	d := reporting(t, r)
	for args, texts := range want {
		got := d.at(t, strings.Fields(args)...)
		plain := strings.Join(strings.Fields(got.out), " ")
		for _, text := range texts {
			if !strings.Contains(plain, text) {
				t.Errorf("%s: no %q in\n%s%s", args, text, got.out, got.err)
			}
		}
	}
}

// TestPlacesThatShowNothingAreNamed: a report that promised to find 2 % was silent about the place that hid 11 %.
func TestPlacesThatShowNothingAreNamed(t *testing.T) {
	const places = "2 places differ from themselves in most answers: nothing can be found there until a rule opens them"
	shows(t, mirrorReport(3), map[string][]string{
		"mirror report m1":              {places, "6 /orders json_value $.offers[*].id 98.5% set, key id", "WOULD HAVE FOUND AWAY FROM NOISE"},
		"mirror report m1 -o markdown":  {places, "would have found, away from noise", "| 7 | `/orders` | json_number | `$.offers[*].price` | 75% | set, key id |"},
		"mirror explain m1":             {"blind Is there a place at which nothing can be found? Yes: " + places, "7 /orders"},
		"mirror explain m1 7":           {"whatever else is wrong there cannot be seen", "{endpoint: /orders, path: $.offers, action: set, key: id}"},
		"mirror diffs m1 --state blind": {"6. blind json_value", "7. blind json_number"},
	})
	pass := mirrorReport(3)
	pass.Verdict, pass.Differences = "Pass", pass.Differences[4:]
	pass.Why = []*crossfadev1.MirrorWhy{{Code: "blind", Message: places, Next: "say by a rule what varies there"}}
	shows(t, pass, map[string][]string{"mirror report m1": {"mirror m1: Pass", "blind " + places}, "mirror explain m1": {"holds Is any difference beyond noise? No", "blind Is there"}})
}

// TestAnArrayInAnotherOrderIsASet: where elements differ at several places, most of the time, a set is thought of before each place is tolerated.
func TestAnArrayInAnotherOrderIsASet(t *testing.T) {
	row := func(state, path string) *crossfadev1.MirrorDifference {
		return difference(state, "/a", "json_value", path, 9000, 1, 1, 0.9)
	}
	for name, tt := range map[string]struct {
		rows      []*crossfadev1.MirrorDifference
		path, key string
	}{
		"its id differs too":               {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].price"), row("noise", "$.x[*].id")}, "$.x", "id"},
		"a name for an id":                 {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].price"), row("blind", "$.x[*].offerId")}, "$.x", "offerId"},
		"nothing like an id":               {[]*crossfadev1.MirrorDifference{row("noise", "$.x[*].price"), row("blind", "$.x[*].title")}, "$.x", ""},
		"alone":                            {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].price")}, "$.x[*].price", ""},
		"seldom":                           {[]*crossfadev1.MirrorDifference{row("noise", "$.x[*].price"), row("noise", "$.x[*].id")}, "$.x[*].price", ""},
		"the inner of two":                 {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].y[*].a"), row("blind", "$.x[*].y[*].b")}, "$.x[*].y", ""},
		"the outer of two":                 {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].y[*].a"), row("blind", "$.x[*].id"), row("blind", "$.x[*].n")}, "$.x", "id"},
		"an array of another name":         {[]*crossfadev1.MirrorDifference{row("blind", "$.x[*].a"), row("blind", "$.xy[*].b")}, "$.x[*].a", ""},
		"an array whose name is not shown": {[]*crossfadev1.MirrorDifference{row("blind", "$.m.{key}[*].a"), row("blind", "$.m.{key}[*].id")}, "$.m.*", "id"},
	} {
		rule, hint := ruleFor(&crossfadev1.MirrorReport{Differences: tt.rows}, tt.rows[0])
		if rule.GetPath() != tt.path || rule.GetKey() != tt.key || (rule.GetAction() == "set") != (rule.GetPath() != tt.rows[0].GetPath()) || hint == "" {
			t.Errorf("%s: %v", name, rule)
		}
	}
}

// TestWholeNumbersAreNotToleratedByAShare: 1 % of an amount in cents is no error of measurement.
func TestWholeNumbersAreNotToleratedByAShare(t *testing.T) {
	for _, length := range []int64{1, 4, 10, 13} {
		d := difference("finding", "/a", "json_number", "$.total", 10, 30, 0, 0)
		d.Example.Control.Length, d.Example.Candidate.Length = length, length
		rule, hint := ruleFor(&crossfadev1.MirrorReport{}, d)
		if rule.GetRel() != 0 || rule.GetAbs() != 0 || (rule.GetWindow() != nil) != (length > 9) || !strings.Contains(hint, "Neither is for whole numbers") {
			t.Errorf("%d: %v, %s", length, rule, hint)
		}
	}
}

// TestAllStatusesOfARowAreShown: 200 in place of 206 hid behind 500 in place of 200.
func TestAllStatusesOfARowAreShown(t *testing.T) {
	const words = "200 → 500 3,000 times, 206 → 200 500 times, others 100 times"
	shows(t, mirrorReport(3), map[string][]string{
		"mirror diffs m1": {"values " + words}, "mirror explain m1 1": {"values " + words}, "mirror report m1 -o markdown": {words},
		"mirror report m1 -o json": {`"variants": [`, `"candidate": "500"`},
	})
}

// TestQuestionsHaveAnswers: "no difference is beyond noise" above "3 differences are" read like a contradiction.
func TestQuestionsHaveAnswers(t *testing.T) {
	shows(t, mirrorReport(3), map[string][]string{
		"mirror explain m1":   {"fails Is any difference beyond noise? Yes: 3 differences are beyond noise", "not asked Are there enough pairs? (decided above)"},
		"mirror explain m1 1": {"eks 3,300 times, ecs once: of 2,400 pairs for which ecs was asked twice by chance, and 3,300 for which it was asked again because they differ here"},
	})
	shows(t, mirrorReport(0), map[string][]string{"mirror explain m1": {"holds Are there enough pairs? Yes: 12,000 were compared, 5,000 are needed"}})
}

// TestADescriptionNamesThePrimary: the document leaves the control to the primary, and the report knows its name.
func TestADescriptionNamesThePrimary(t *testing.T) {
	doc := mirrorDoc()
	doc.Control = ""
	d := serve(t, &double{answer: canned(map[string]proto.Message{
		"Get": &crossfadev1.GetResponse{Document: mirrorDocument(doc)}, "GetMirrorReport": &crossfadev1.GetMirrorReportResponse{Report: mirrorReport(0)},
	})})
	if got := d.at(t, "describe", "mirror", "m1"); strings.Contains(got.out, "the primary") || !strings.Contains(got.out, "ecs and eks, and ecs twice for") {
		t.Errorf("%s%s", got.out, got.err)
	}
}

// TestStatesAreOfNow: rates that are not of now are left out, and a run that was stopped took as long as it took.
func TestStatesAreOfNow(t *testing.T) {
	a := &app{now: func() time.Time { return now }}
	r := mirrorReport(0)
	if got := a.runWords(r); !strings.Contains(got, "now asking ecs 14/s, eks 12/s") {
		t.Error(got)
	}
	r.Counted = before(4 * time.Second)
	if got := a.runWords(r); strings.Contains(got, "asking") {
		t.Error(got)
	}
	r.Counted, r.AskedRps = before(time.Second), map[string]float64{"ecs": 0, "eks": 0}
	if got := a.runWords(r); strings.Contains(got, "asking") {
		t.Error(got)
	}
	r.State, r.Run = "ended", &crossfadev1.MirrorRun{Id: "r1", Started: before(14 * time.Second), Ended: before(5 * time.Second), Why: "stopped", Detail: "stopped by root@vm"}
	if got, want := a.runWords(r), "ended 5s ago, after 9s: stopped by root@vm"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFlagsAreAWholeExperiment: a share alone does not change an experiment that was there.
func TestFlagsAreAWholeExperiment(t *testing.T) {
	d := serve(t, &double{answer: mirrorsToo(canned(nil))})
	got := d.at(t, "mirror", "start", "m1", "--share", "5%")
	for _, want := range []string{"--service", "--candidate", "`shadowctl mirror start m1` runs one that has ended as it was"} {
		if got.exit != 2 || !strings.Contains(strings.Join(strings.Fields(got.err), " "), want) {
			t.Errorf("exit %d, no %q: %s", got.exit, want, got.err)
		}
	}
}

// TestAnIdleServiceIsSaidToBeIdle: "adds nothing yet, on top of 0/s live" did not say how much it may become.
func TestAnIdleServiceIsSaidToBeIdle(t *testing.T) {
	d := serve(t, &double{answer: func(context.Context, string, proto.Message) (proto.Message, error) {
		return &crossfadev1.StartMirrorResponse{Mirror: mirrorDoc(), Estimate: &crossfadev1.MirrorEstimate{LimitedBy: "maxRps", MaxRps: 400}}, nil
	}})
	if got := d.at(t, "mirror", "start", "m1", "--dry-run"); !strings.Contains(got.out, "no live traffic now: at most 400 copies/s are asked again") {
		t.Errorf("%s%s", got.out, got.err)
	}
}
