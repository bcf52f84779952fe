package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// TestWhatARolloutIsStartedWith: a document of flags, a file, or a name alone; and `run` sends the same.
func TestWhatARolloutIsStartedWith(t *testing.T) {
	const head = `{"rollout":{"apiVersion":"crossfade/v1","kind":"Rollout","name":"r1","service":"orders","to":"eks"`
	d := serve(t, &double{answer: rolloutsToo(canned(nil)), runCanary: canary(complete())})
	for _, tt := range []struct{ args, want string }{
		{"r1", `{"name":"r1"}`},
		{"r1 --dry-run", `{"name":"r1","dryRun":true}`},
		{"r1 --service orders --to eks --preset 10,50,100", head + `,"preset":"10,50,100"}}`},
		{
			"r1 --service orders --to eks --from ecs --preset 1,5 --bake 90s --min-requests 7 --on-failure freeze --hook https://h.test/a --retention 0s",
			head + `,"from":"ecs","preset":"1,5","bake":"90s","minRequests":"7","onFailure":"freeze","retention":"0s","hook":{"url":"https://h.test/a"}}}`,
		},
		{
			"r1 --service orders --to eks --preset 10,50 --approve-before 50%:approver --bake 1m",
			head + `,"steps":[{"weight":1000},{"weight":5000,"gate":{"approval":{"role":"approver"}}}],"bake":"60s"}}`,
		},
		{
			"r1 --service orders --to eks --preset 10 --guard p99<=10s --guard p99<=1.2x:ecs --guard errorRate<=0.5% --guard requests>=100 --guard mirror:m1 --guard p99<=2s --guard mean<=1.5x",
			head + `,"preset":"10","guards":[{"name":"p99","metric":"p99","max":"10s"},{"name":"p99-ecs","metric":"p99","maxRatio":1.2,"against":"ecs"},{"name":"error-rate","metric":"errorRate","max":"0.5%"},` +
				`{"name":"requests","metric":"requests","min":"100"},{"name":"mirror-m1","mirror":"m1"},{"name":"p99-2","metric":"p99","max":"2s"},{"name":"mean-ratio","metric":"mean","maxRatio":1.5}]}}`,
		},
	} {
		r := d.at(t, append([]string{"rollout", "start"}, strings.Fields(tt.args)...)...)
		var req *crossfadev1.StartRolloutRequest
		for _, c := range d.asked() {
			if in, ok := c.in.(*crossfadev1.StartRolloutRequest); ok {
				req = in
			}
		}
		if req.GetOptions().GetIdempotencyKey() == "" || req.GetOptions().GetActor() == "" {
			t.Errorf("%s: options %v", tt.args, req.GetOptions())
		}
		if doc := req.GetRollout(); doc != nil {
			if _, errs := rollout.Compile(doc); len(errs) > 0 {
				t.Errorf("%s: %v", tt.args, errs)
			}
		}
		req.Options = nil
		if got := string(manifest.JSON(manifest.Node(req))); r.exit != 0 || plainNumbers(got) != plainNumbers(tt.want) {
			t.Errorf("%s: exit %d\ngot  %s\nwant %s\n%s", tt.args, r.exit, got, tt.want, r.err)
		}
	}
}

// plainNumbers takes the quotes from the numbers and the weights that documents write in several ways.
func plainNumbers(s string) string {
	return strings.NewReplacer(`"7"`, `7`, `"10%"`, `1000`, `"50%"`, `5000`, `"1m30s"`, `"90s"`, `"1m"`, `"60s"`).Replace(s)
}

// TestShortGuards that say nothing are refused before anything is sent.
func TestShortGuards(t *testing.T) {
	for _, bad := range []string{"", "p99", "p99<=", "<=10s", "p99>=10s", "p75<=1s", "requests<=10", "requests>=", "p99<10s", "p99<=10s:ecs", "p99<=x", "p99<=1e9x", "p99<=-1x", "p99<=0x", "p99<=1.2x:", "p99<=1.2x:E", "mirror:", "mirror:M", "errors<=1%"} {
		if g, ok := parseGuard(bad); ok {
			t.Errorf("%q: %v", bad, g)
		}
	}
}

// FuzzShortGuard: what is read has a name, looks at one thing, and is what a document may hold or is refused with words.
func FuzzShortGuard(f *testing.F) {
	for _, s := range []string{"p99<=10s", "errorRate<=0.5%", "p99<=1.2x:ecs", "requests>=100", "mirror:m1", "mean <= 1.5x", "p99<=0.0000001x", "p99<=99999999999999999999999x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, ok := parseGuard(text)
		if !ok {
			return
		}
		if !policy.ValidName(g.GetName()) || (g.GetMetric() == "") == (g.GetMirror() == "") {
			t.Fatalf("%q: %v", text, g)
		}
		_, errs := rollout.Compile(&crossfadev1.Rollout{ApiVersion: policy.APIVersion, Kind: policy.KindRollout, Name: "r", Service: "s", To: "eks", From: "ecs", Preset: "10", Guards: []*crossfadev1.RolloutGuard{g}})
		for _, e := range errs {
			if !strings.HasPrefix(e.Field, "guards[0].") || e.Message == "" {
				t.Fatalf("%q: %v", text, e)
			}
		}
	})
}

// TestRolloutsOfFilesAreValidated, each on its own and against the service beside it.
func TestRolloutsOfFilesAreValidated(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"", "", ""},
		{"weight: 50%", "weight: 5%", `:7: steps[1].weight: "5%": is not above the step before (10%)`},
		{"bake: 5m", "bake: 5s", `:7: steps[0].bake: "5s": is shorter than the window of guard lat (10s)`},
		{"max: 0.5%", "max: 0.5", `guards[1].max: "0.5": has no unit`},
		{"to: eks", "to: gke", `to: "gke": the service has no origin of this name`},
		{"mirror: m1", "mirror: m1, metric: p99", `guards[4].mirror: a guard looks at one thing`},
		{"{role: approver, ", "{rol: approver, ", `steps[1].gate.approval.rol: there is no such field`},
		{"kind: Rollout\nname: r1", "kind: Rollout\nnam: r1", `nam: there is no such field`},
	} {
		text := full + "---\n" + strings.Replace(rolloutText, tt.from, tt.to, 1)
		r := offline(t, text, "validate", "-f", "-")
		if tt.want == "" && (r.exit != 0 || !strings.HasSuffix(r.out, "Rollout r1 is valid\n")) || tt.want != "" && (r.exit != 2 || !strings.Contains(r.err, strings.TrimPrefix(tt.want, ":7"))) {
			t.Errorf("%s: exit %d: %s%s", tt.to, r.exit, r.out, r.err)
		}
	}
	if r := offline(t, rolloutText+"---\n"+rolloutText, "validate", "-f", "-"); r.exit != 2 || !strings.Contains(r.err, `two documents set rollout "r1"`) {
		t.Errorf("twice: exit %d: %s", r.exit, r.err)
	}
}

// TestRolloutsAreExported: what `get rollouts -o yaml` writes can be applied again, and nobody reads the walk.
func TestRolloutsAreExported(t *testing.T) {
	d := serve(t, &double{answer: rolloutsToo(canned(world()))})
	all := d.at(t, "get", "rollouts", "-o", "yaml")
	if all.exit != 0 || strings.Count(all.out, "kind: Rollout") != 2 {
		t.Fatalf("exit %d: %s%s", all.exit, all.out, all.err)
	}
	one := d.at(t, "get", "rollout", "r1", "-o", "yaml")
	if again := offline(t, one.out, "validate", "-f", "-"); again.exit != 0 {
		t.Errorf("exit %d: %s\n%s", again.exit, again.err, one.out)
	}
}

// TestDeniedIsAnExitCodeOfItsOwn, for what the server says and for what is said here.
func TestDeniedIsAnExitCodeOfItsOwn(t *testing.T) {
	d := serve(t, &double{answer: failing(codes.PermissionDenied, &crossfadev1.ErrorDetail{Code: "role_needed", Value: "alice", Message: "the gate before step 2 needs role approver", Next: "ask somebody who has it"})})
	r := d.at(t, "rollout", "approve", "r1")
	if r.exit != 10 || r.err != "error: \"alice\": the gate before step 2 needs role approver\nask somebody who has it\n" {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
	if f := (&app{}).failureOf(&policy.Error{Kind: policy.Denied, Message: "no"}); f.exit != exitDenied {
		t.Errorf("exit %d", f.exit)
	}
}

// TestHistoryOfRollouts: transitions are told by their states, and a split that a rollout moved says so.
func TestHistoryOfRollouts(t *testing.T) {
	run := func(state string, step, weight int32) *crossfadev1.Document {
		r := rolloutDoc()
		r.Run.State, r.Run.Step, r.Run.Weight = state, step, weight
		return rolloutDocument(r)
	}
	again := run("Pending", 1, 0)
	again.GetRollout().Run.Id = "r1@00000002"
	revision := func(n int64, kind, name, action, reason string, before, after *crossfadev1.Document) *crossfadev1.Revision {
		return &crossfadev1.Revision{Revision: n, Time: before0(n), Who: "rollout r1 (started by ann)", Kind: kind, Service: name, Action: action, Reason: reason, Before: before, After: after}
	}
	h := &crossfadev1.ListHistoryResponse{Items: []*crossfadev1.Revision{
		revision(59, "Rollout", "r1", "delete", "", again, nil),
		revision(58, "Rollout", "r1", "rollout start", "", run("RolledBack", 2, 0), again),
		revision(57, "Rollout", "r1", "rollout step", "the primary has everything", run("RollingBack", 2, 5000), run("RolledBack", 2, 0)),
		revision(56, "Service", "orders", "rollback", "a guard failed", ordersDocument(5000), ordersDocument(10000)),
		revision(55, "Service", "orders", "split set", "the step begins", ordersDocument(9000), ordersDocument(5000)),
		revision(54, "Rollout", "r1", "rollout approve", "approved by bob", run("AwaitingGate", 2, 1000), run("Progressing", 2, 1000)),
		revision(53, "Service", "orders", "apply", "", ordersDocument(9000), retimed(ordersDocument(9000))),
		revision(52, "Rollout", "r1", "rollout start", "", nil, run("Pending", 1, 0)),
	}}
	h.Items[3].Cause, h.Items[4].Cause, h.Items[6].Cause = "r1@3f9a2c1b/back", "r1@3f9a2c1b/step-2/set", "r1@3f9a2c1b/step-1/set"
	w := world()
	w["ListHistory"] = h
	d := serve(t, &double{answer: canned(w)})
	golden(t, "history-rollouts", d.at(t, "history").out)
	for _, other := range []string{"", "a1b2c3", "hand/x", "r1@/x", "R1@1/x"} {
		if words := causeWords(other); words != "" {
			t.Errorf("%q: %s", other, words)
		}
	}
}

// before0 gives each revision a time of its own.
func before0(n int64) *timestamppb.Timestamp { return before(time.Duration(100-n) * time.Minute) }

func retimed(doc *crossfadev1.Document) *crossfadev1.Document {
	doc = proto.CloneOf(doc)
	doc.GetService().Timeouts = nil
	return doc
}

// TestNoRolloutYet is told with how to begin.
func TestNoRolloutYet(t *testing.T) {
	d := serve(t, &double{answer: canned(map[string]proto.Message{"ListRollouts": &crossfadev1.ListRolloutsResponse{}})})
	if r := d.at(t, "rollout", "list"); r.exit != 0 || r.out != "" || !strings.Contains(r.err, "shadowctl rollout start -f rollout.yaml --dry-run") {
		t.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
}

// TestNothingOfARolloutPaintsTheTerminal: reasons are written by people, and answers of hooks by anybody.
func TestNothingOfARolloutPaintsTheTerminal(t *testing.T) {
	const bad = "\x1b[2Jgone\n"
	st := baking()
	st.Reason, st.WaitingFor, st.Drift, st.StartedBy = bad, bad, bad, bad
	st.Notes[0].Text, st.Guards[0].Message, st.Guards[0].Next = bad, bad, bad
	doc := rolloutDoc()
	doc.Hook.Url, doc.Guards[5].Prometheus.Query = bad, bad
	d := serve(t, &double{answer: canned(map[string]proto.Message{
		"GetRollout": &crossfadev1.GetRolloutResponse{Status: st}, "ActOnRollout": &crossfadev1.ActOnRolloutResponse{Status: st}, "ListRollouts": &crossfadev1.ListRolloutsResponse{Items: []*crossfadev1.RolloutStatus{st}},
		"Get": &crossfadev1.GetResponse{Document: rolloutDocument(doc)},
	})})
	for _, args := range []string{"rollout explain r1", "rollout pause r1", "rollout list", "describe rollout r1", "get rollout r1"} {
		if got := d.at(t, strings.Fields(args)...); got.exit != 0 || strings.Contains(got.out+got.err, "\x1b") {
			t.Errorf("%s: exit %d: %q", args, got.exit, got.out+got.err)
		}
	}
}

// TestRolloutsFitATerminal of 80 and of 120 columns, with colours, and say the same without them.
func TestRolloutsFitATerminal(t *testing.T) {
	long := baking()
	long.Steps = nil
	for i := range 50 {
		state := "ahead"
		if i < 20 {
			state = "done"
		} else if i == 20 {
			state = "now"
		}
		long.Steps = append(long.Steps, &crossfadev1.RolloutStepStatus{Step: int32(i + 1), Weight: int32(200 * (i + 1)), State: state, Gate: map[bool]string{true: "approver"}[i%10 == 0]})
	}
	for name, st := range map[string]*crossfadev1.RolloutStatus{"baking": baking(), "awaiting": awaiting(), "frozen": frozen(), "rolledback": backed(), "completed": complete(), "long": long} {
		d := serve(t, &double{answer: canned(map[string]proto.Message{"GetRollout": &crossfadev1.GetRolloutResponse{Status: st}})})
		for _, width := range []int{80, 120} {
			r := shadowctl(t.Context(), invocation{args: []string{"rollout", "explain", "r1"}, color: true, width: width, env: map[string]string{"CROSSFADE_SERVER": d.address}})
			golden(t, fmt.Sprintf("rollout-explain-%s-%d", name, width), r.out)
			for line := range strings.Lines(r.out) {
				if rowsOf(line, width) > 1 {
					t.Errorf("%s: more than %d columns: %s", name, width, line)
				}
			}
		}
		plain := shadowctl(t.Context(), invocation{args: []string{"rollout", "explain", "r1"}, width: 80, env: map[string]string{"CROSSFADE_SERVER": d.address}})
		if strings.Contains(plain.out, "\x1b") {
			t.Errorf("%s: colours without being asked for", name)
		}
	}
}
