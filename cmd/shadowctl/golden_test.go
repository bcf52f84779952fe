package main

import (
	"fmt"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestOutput holds the output of every command, for people and as JSON, against a file each.
func TestOutput(t *testing.T) {
	tests := []struct {
		name  string
		args  string
		stdin string
	}{
		{"help", "", ""},
		{"help-split-set", "split set --help", ""},
		{"help-pin", "pin --help", ""},
		{"help-pin-add", "pin add --help", ""},
		{"help-rollback", "rollback --help", ""},
		{"apply", "apply -f -", exampleService + "---\n" + exampleFleet},
		{"diff", "diff -f -", exampleService},
		{"validate", "validate -f -", exampleService + "---\n" + exampleFleet},
		{"get-services", "get services", ""},
		{"get-service", "get service orders", ""},
		{"describe-service", "describe service orders", ""},
		{"delete", "delete service orders", ""},
		{"set-primary", "service set-primary orders eks", ""},
		{"split-set", "split set orders eks=10%", ""},
		{"pin-add", "pin add orders beta --origin eks --header x-beta=1", ""},
		{"pin-rm", "pin rm orders beta", ""},
		{"pin-list", "pin list orders", ""},
		{"rollback", "rollback orders", ""},
		{"rollback-all", "rollback --all", ""},
		{"rollback-fleet", "rollback orders --fleet edge", ""},
		{"route-explain", "route explain --host orders.test /", ""},
		{"route-explain-offline", "route explain -f - --host orders.test --header x-beta=1 /a?b=c", exampleService},
		{"break-glass", "break-glass orders", ""},
		{"break-glass-offline", "break-glass orders -f - --admin 127.0.0.1:9999", exampleService},
		{"example-service", "example service", ""},
		{"example-fleet", "example fleet", ""},
		{"example-discovery", "example service --discovery", ""},
		{"fleet", "fleet", ""},
		{"help-endpoints", "endpoints --help", ""},
		{"help-endpoints-list", "endpoints list --help", ""},
		{"help-endpoints-accept", "endpoints accept --help", ""},
		{"endpoints-list", "endpoints list", ""},
		{"endpoints-summary", "endpoints list --summary", ""},
		{"endpoints-accept", "endpoints accept orders eks", ""},
		{"help-mirror", "mirror --help", ""},
		{"help-mirror-start", "mirror start --help", ""},
		{"help-mirror-report", "mirror report --help", ""},
		{"mirror-start", "mirror start m1 --service orders --candidate eks --share 1.5% --keep-header authorization --ignore $.updatedAt", ""},
		{"mirror-start-file", "mirror start -f -", exampleMirror},
		{"mirror-start-dry", "mirror start m1 --service orders --candidate eks --dry-run", ""},
		{"mirror-stop", "mirror stop m1", ""},
		{"mirror-list", "mirror list", ""},
		{"mirror-report", "mirror report m1", ""},
		{"mirror-diffs", "mirror diffs m1", ""},
		{"mirror-diffs-noise", "mirror diffs m1 --state noise --endpoint /orders --kind json_number", ""},
		{"mirror-explain", "mirror explain m1", ""},
		{"mirror-explain-1", "mirror explain m1 1", ""},
		{"mirror-explain-3", "mirror explain m1 3", ""},
		{"mirror-explain-5", "mirror explain m1 5", ""},
		{"get-mirrors", "get mirrors", ""},
		{"describe-mirror", "describe mirror m1", ""},
		{"example-mirror", "example mirror", ""},
		{"example-rollout", "example rollout", ""},
		{"help-rollout", "rollout --help", ""},
		{"help-rollout-start", "rollout start --help", ""},
		{"help-rollout-run", "rollout run --help", ""},
		{"help-rollout-approve", "rollout approve --help", ""},
		{"rollout-start", "rollout start r1 --service orders --to eks --preset 10,50,100 --guard p99<=10s --guard p99<=1.2x:ecs --guard mirror:m1 --approve-before 50%:approver --on-failure gradual --retention 0s", ""},
		{"rollout-start-file", "rollout start -f -", rolloutText},
		{"rollout-start-again", "rollout start r1", ""},
		{"rollout-start-dry", "rollout start r1 --service orders --to eks --preset 10,50,100 --dry-run", ""},
		{"rollout-pause", "rollout pause r1 --reason lunch", ""},
		{"rollout-resume", "rollout resume r1", ""},
		{"rollout-approve", "rollout approve r1 --step 2", ""},
		{"rollout-reject", "rollout reject r1", ""},
		{"rollout-abort", "rollout abort r1", ""},
		{"rollout-promote", "rollout promote r1", ""},
		{"rollout-list", "rollout list", ""},
		{"rollout-explain", "rollout explain r1", ""},
		{"get-rollouts", "get rollouts", ""},
		{"get-rollout", "get rollout r1", ""},
		{"describe-rollout", "describe rollout r1", ""},
		{"history", "history orders", ""},
		{"undo", "undo orders --to 41", ""},
	}
	for _, tt := range tests {
		forms := []string{"table", "json"}
		if strings.HasPrefix(tt.name, "help") || strings.HasPrefix(tt.name, "example") {
			forms = forms[:1]
		}
		for _, form := range forms {
			t.Run(tt.name+"-"+form, func(t *testing.T) {
				d := serve(t, &double{answer: rolloutsToo(mirrorsToo(canned(world())))})
				args := append(strings.Fields(tt.args), "-o", form)
				r := shadowctl(t.Context(), invocation{args: args, stdin: tt.stdin, env: map[string]string{"CROSSFADE_SERVER": d.address}})
				golden(t, tt.name+"-"+form, fmt.Sprintf("$ shadowctl %s\nexit %d\n--- stdout\n%s--- stderr\n%s", strings.Join(args, " "), r.exit, r.out, r.err))
			})
		}
	}
}

// TestYAMLOutput: what `get -o yaml` writes can be applied again.
func TestYAMLOutput(t *testing.T) {
	d := serve(t, &double{answer: canned(world())})
	one := d.at(t, "get", "service", "orders", "-o", "yaml")
	golden(t, "get-service-yaml", one.out)
	again := shadowctl(t.Context(), invocation{args: []string{"validate", "-f", "-"}, stdin: one.out})
	if one.exit != 0 || again.exit != 0 {
		t.Errorf("exit %d, then %d: %s%s", one.exit, again.exit, one.err, again.err)
	}
	all := d.at(t, "get", "services", "-o", "yaml")
	if n := strings.Count(all.out, "apiVersion: crossfade/v1"); n != 2 || strings.Count(all.out, "---\n") != 1 {
		t.Errorf("%d documents:\n%s", n, all.out)
	}
}

// TestWidthAndColour: a terminal gets colours and cut lines; a pipe gets neither.
func TestWidthAndColour(t *testing.T) {
	d := serve(t, &double{answer: canned(world())})
	env := map[string]string{"CROSSFADE_SERVER": d.address}
	for _, width := range []int{80, 120} {
		r := shadowctl(t.Context(), invocation{args: []string{"get", "services"}, color: true, width: width, env: env})
		golden(t, fmt.Sprintf("get-services-terminal-%d", width), r.out)
	}
	w := world()
	w["ListProxies"].(*crossfadev1.ListProxiesResponse).Origins = nil // sentences below a table are not cut
	d = serve(t, &double{answer: canned(w)})
	r := shadowctl(t.Context(), invocation{args: []string{"fleet"}, width: 100, env: map[string]string{"CROSSFADE_SERVER": d.address}})
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("colours without being asked for:\n%q", r.out)
	}
	for _, line := range strings.Split(r.out, "\n") {
		if n := len([]rune(line)); n > 100 {
			t.Errorf("a line of %d columns in a terminal of 100: %s", n, line)
		}
	}
}

// TestNothingFromElsewhereReachesTheTerminal: a reason with control characters cannot paint the terminal of whoever reads the history.
func TestNothingFromElsewhereReachesTheTerminal(t *testing.T) {
	w := world()
	h := historyAnswer()
	h.Items[0].Reason = "fine\x1b[2Jgone\nnext"
	w["ListHistory"] = h
	c := rolledBack()
	c.Warnings = []string{"\x1b[31mred"}
	c.Proof.Reason = "\x1b[31mred"
	c.Proof.State = "unknown"
	w["Rollback"] = &crossfadev1.RollbackResponse{Changes: []*crossfadev1.Change{c}}
	d := serve(t, &double{answer: canned(w)})
	for _, args := range [][]string{{"history"}, {"rollback", "orders"}} {
		if r := d.at(t, args...); strings.Contains(r.out, "\x1b") {
			t.Errorf("%v: %q", args, r.out)
		}
	}
}
