package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// errorJSON is the form of errors with -o json.
type errorJSON struct {
	Error struct {
		Code, Field, Value, Message, Next, File string
		Line                                    int
	}
}

// TestExitCodes: every class of error of the server has its number, its words on standard error, and its JSON form.
func TestExitCodes(t *testing.T) {
	tests := []struct {
		name string
		code codes.Code
		// detail is the ErrorDetail's code; empty: the error carries none
		detail string
		want   int
	}{
		{"bad input", codes.InvalidArgument, "weights_sum", 2},
		{"too large", codes.ResourceExhausted, "", 2},
		{"conflict", codes.Aborted, "revision_conflict", 3},
		{"too few endpoints", codes.FailedPrecondition, "capacity", 9},
		{"not found", codes.NotFound, "not_found", 4},
		{"store away", codes.Unavailable, "store_unavailable", 5},
		{"refused", codes.FailedPrecondition, "refused_by_proxy", 6},
		{"waited", codes.DeadlineExceeded, "wait_timeout", 7},
		{"held", codes.FailedPrecondition, "held", 9},
		{"held by another rule", codes.FailedPrecondition, "primary_not_full", 9},
		{"denied", codes.PermissionDenied, "role_missing", 10},
		{"not authenticated", codes.Unauthenticated, "", 10},
		{"internal", codes.Internal, "internal", 1},
		{"unknown call", codes.Unimplemented, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var details []*crossfadev1.ErrorDetail
			if tt.detail != "" {
				details = append(details, &crossfadev1.ErrorDetail{Code: tt.detail, Field: "weights.eks", Value: "11000", Message: "is wrong", Next: "do this"})
			}
			d := serve(t, &double{answer: failing(tt.code, details...)})
			people := d.at(t, "split", "set", "orders", "eks=10%")
			if people.exit != tt.want || people.out != "" || !strings.HasPrefix(people.err, "error: ") {
				t.Errorf("exit %d, want %d; out %q, err %q", people.exit, tt.want, people.out, people.err)
			}
			if tt.detail != "" && people.err != "error: weights.eks: \"11000\": is wrong\ndo this\n" {
				t.Errorf("err %q", people.err)
			}
			machines := d.at(t, "split", "set", "orders", "eks=10%", "-o", "json")
			var got errorJSON
			if err := json.Unmarshal([]byte(machines.err), &got); err != nil {
				t.Fatalf("%v: %s", err, machines.err)
			}
			if machines.exit != tt.want || got.Error.Message == "" || tt.detail != "" && (got.Error.Code != tt.detail || got.Error.Field != "weights.eks" || got.Error.Value != "11000" || got.Error.Next != "do this") {
				t.Errorf("exit %d, %s", machines.exit, machines.err)
			}
		})
	}
}

// TestServerErrorsHaveTheirLine: an error about a document is shown where the document is written, in the right file.
func TestServerErrorsHaveTheirLine(t *testing.T) {
	d := serve(t, &double{answer: failing(codes.InvalidArgument,
		&crossfadev1.ErrorDetail{Code: "route_taken", Field: "hosts[0]", Value: "orders.test", Message: "is taken", Document: 1},
		&crossfadev1.ErrorDetail{Code: "origin_unknown", Field: "origins[1].name", Message: "is wrong", Document: 0, Next: "rename it"})})
	two := exampleService + "---\n" + strings.Replace(exampleService, "name: orders", "name: other", 1)
	env := map[string]string{"CROSSFADE_SERVER": d.address}
	r := shadowctl(t.Context(), invocation{args: []string{"apply", "-f", "-"}, stdin: two, env: env})
	// hosts are on line 8 of the example, which has as many lines as this
	lines := strings.Count(exampleService, "\n")
	want := "error: stdin:" + itoa(lines+1+8) + ": hosts[0]: \"orders.test\": is taken\nerror: stdin:17: origins[1].name: is wrong\nrename it\n"
	if r.exit != 2 || r.err != want {
		t.Errorf("exit %d\ngot  %swant %s", r.exit, r.err, want)
	}
	r = shadowctl(t.Context(), invocation{args: []string{"apply", "-f", "-", "-o", "json"}, stdin: two, env: env})
	var got errorJSON
	if err := json.Unmarshal([]byte(r.err), &got); err != nil || got.Error.File != "stdin" || got.Error.Line != lines+1+8 {
		t.Errorf("%v: %s", err, r.err)
	}
	if n := strings.Count(r.err, `"code"`); n != 3 { // "error", and both in "errors"
		t.Errorf("%d problems in %s", n, r.err)
	}
}

// TestNotRecorded: a rollback that is applied and not recorded prints its result and exits 11.
func TestNotRecorded(t *testing.T) {
	c := rolledBack()
	c.Recorded, c.Revision, c.Warnings = false, 0, []string{"no space left on device"}
	for _, args := range [][]string{{"rollback", "orders"}, {"rollback", "--all"}, {"rollback", "orders", "-o", "json"}} {
		d := serve(t, &double{answer: canned(map[string]proto.Message{"Rollback": &crossfadev1.RollbackResponse{Changes: []*crossfadev1.Change{c}}})})
		if r := d.at(t, args...); r.exit != 11 || !strings.Contains(r.out, "no space left on device") || r.err != "" {
			t.Errorf("%v: exit %d, out %q, err %q", args, r.exit, r.out, r.err)
		}
	}
}

// TestUnreachable: without a server, the answer is the command that starts one; for a rollback, also the way without a server.
func TestUnreachable(t *testing.T) {
	d := serve(t, &double{answer: canned(nil)})
	address := closedAddress(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"get", "services"}, "start one:\n  xds-server --dev --data-dir ./crossfade-data\n"},
		{[]string{"split", "set", "orders", "eks=10%"}, "start one:\n  xds-server --dev --data-dir ./crossfade-data\n"},
		{[]string{"rollback", "orders"}, "shadowctl break-glass orders -f FILE.yaml\nname your server with --server or CROSSFADE_SERVER; to try things, start one:"},
		{[]string{"rollback", "--all"}, "shadowctl break-glass SERVICE -f FILE.yaml\nname your server with --server or CROSSFADE_SERVER; to try things, start one:"},
		{[]string{"break-glass", "orders"}, "give the service's file: shadowctl break-glass orders -f FILE.yaml\n"},
		{[]string{"version"}, "start one:"},
		{[]string{"watch"}, "start one:"},
	} {
		args := append(tt.args, "--server", address)
		r := d.at(t, args...)
		if r.exit != 5 || !strings.Contains(r.err, tt.want) || !strings.Contains(r.err, "no server answers there") || !strings.Contains(r.err, "connection refused") {
			t.Errorf("%v: exit %d, err %s", args, r.exit, r.err)
		}
		if strings.Contains(r.err, "not known") {
			t.Errorf("%v: in doubt though nothing was sent: %s", args, r.err)
		}
	}
	if len(d.asked()) != 0 {
		t.Errorf("--server does not win over the environment: %v", d.asked())
	}
}

// TestMistakes: what is wrong with a command line is said before anything is sent, with exit 2.
func TestMistakes(t *testing.T) {
	d := serve(t, &double{answer: func(context.Context, string, proto.Message) (proto.Message, error) {
		t.Error("the server was asked")
		return nil, nil
	}})
	for _, tt := range []struct{ args, want string }{
		{"split set orders eks=10", "error: eks: \"10\": has no unit: it could mean 10 % or 10 basis points"},
		{"split set orders 10", "error: \"10\": must be ORIGIN=PERCENT, for example eks=10%\n"},
		{"split set orders eks=-1%", "error: eks: \"-1%\": a weight cannot be negative\nwrite 0% to 100%\n"},
		{"split set orders eks=101%", "error: eks: \"101%\": a weight is at most 100%\n"},
		{"split set orders eks=1.001%", "error: eks: \"1.001%\": the finest step is 0.01%"},
		{"split set orders eks=x%", "error: eks: \"x%\": is not a weight"},
		{"split set orders eks=", "error: eks: a weight is needed"},
		{"split set orders eks=10% eks=20%", "error: eks: \"eks=20%\": this origin is given twice\n"},
		{"split set orders =10%", "error: \"=10%\": must be ORIGIN=PERCENT"},
		{"split set orders", "error: ORIGIN=PERCENT is missing\nusage: shadowctl split set SERVICE ORIGIN=PERCENT…"},
		{"split set", "error: SERVICE is missing\n"},
		{"split orders eks=10%", "error: shadowctl split has no command \"orders\"\nsee `shadowctl split --help`\n"},
		{"splt set orders eks=10%", "error: shadowctl has no command \"splt\"\ndid you mean `shadowctl split`?\n"},
		{"rollback", "error: SERVICE is missing; --all rolls every service back\n"},
		{"rollback orders --all", "error: SERVICE and --all are both given\n"},
		{"rollback orders payments", "error: too many arguments: \"payments\"\n"},
		{"get", "error: KIND is missing\nusage: shadowctl get KIND [NAME]"},
		{"get pods", "error: KIND: \"pods\": must be service, fleet, mirror or rollout\n"},
		{"get fleets", "error: NAME is missing"},
		{"delete service", "error: NAME is missing\n"},
		{"undo orders --to -1", "error: --to: \"-1\": must be a revision, 1 or more\n"},
		{"undo orders --to x", "error: --to: \"x\": must be a whole number\nusage: shadowctl undo SERVICE"},
		{"history --limit 0", "error: --limit: \"0\": must be 1 to 1000\n"},
		{"fleet edge", "error: too many arguments: \"edge\"\n"},
		{"get services --fields", "error: unknown flag: --fields\n"},
		{"get services -o xml", "error: --output: \"xml\": must be table, json or yaml\n"},
		{"rollback orders --wait forever", "error: --wait: \"forever\": must be none, acked or proven\n"},
		{"get services --timeout 0s", "error: --timeout: \"0s\": must be more than 0 and at most 1h\n"},
		{"split set orders eks=1% --expect-revision -4", "error: --expect-revision: \"-4\": must not be negative\n"},
		{"get services --server localhost", "error: --server: \"localhost\": must be HOST:PORT, for example 127.0.0.1:18080\n"},
		{"get services --server 10.0.0.1:18080", "error: --server: \"10.0.0.1:18080\": is not on this machine, and without TLS everybody on the way could read and change what is said\n"},
		{"get services --server example.com:18080", "error: --server: \"example.com:18080\": is not on this machine"},
		{"apply", "error: no file is given\nname one with -f FILE, or - for standard input\n"},
		{"apply -f /nonexistent.yaml", "error: --filename: \"/nonexistent.yaml\": cannot be read: no such file or directory\n"},
		{"apply -f .", "error: --filename: \".\": cannot be read: is a directory\n"},
		{"pin add orders beta --header x=1", "error: --origin: is needed: the origin that gets the requests\n"},
		{"pin add orders beta --origin eks", "error: exactly one of --header, --cookie and --query is needed\n"},
		{"pin add orders beta --origin eks --header x --query y", "error: exactly one of"},
		{"route explain /", "error: --host is missing\n"},
		{"route explain --host a v1", "error: PATH: \"v1\": must begin with \"/\"\n"},
		{"route explain --host a --header x /", "error: --header: \"x\": must be NAME=VALUE"},
		{"route explain --host a --port 70000 /", "error: --port: \"70000\": must be 1 to 65535\n"},
		{"break-glass orders --admin 9901", "error: --admin: \"9901\": must be IP:PORT\n"},
		{"bootstrap", "error: --node-id: a name for the proxy is needed"},
		{"bootstrap --node-id a --xds nowhere", "error: --xds: \"nowhere\": HOST:PORT is needed"},
		{"completion powershell", "error: SHELL: \"powershell\": must be bash, zsh or fish\n"},
		{"endpoints accept", "error: SERVICE is missing\nusage: shadowctl endpoints accept SERVICE ORIGIN"},
		{"endpoints accept orders", "error: ORIGIN is missing\n"},
		{"endpoints list orders eks 10.0.0.1:80", "error: too many arguments: \"10.0.0.1:80\"\n"},
		{"endpoints watch orders eks x", "error: too many arguments: \"x\"\n"},
		{"endpoints list --limit -1", "error: --limit: \"-1\": must not be negative\n"},
		{"endpoints list --summary --limit 3", "error: --summary: shows every origin: --limit and --page-token do not go with it\n"},
		{"endpoints lst", "error: shadowctl endpoints has no command \"lst\"\ndid you mean `shadowctl endpoints list`?\n"},
		{"example fleet --discovery", "error: --discovery goes with a service: a fleet has no endpoints\n"},
		{"example mirror --discovery", "error: --discovery goes with a service: a mirror has no endpoints\n"},
		{"example rollout --discovery", "error: --discovery goes with a service: a rollout has no endpoints\n"},
		{"example pods", "error: KIND: \"pods\": must be service, fleet, mirror or rollout\n"},
		{"mirror start", "error: MIRROR is missing: a name for the experiment\nusage: shadowctl mirror start MIRROR|-f FILE"},
		{"mirror start m1 --share 1%", "error: --service: is needed: the service whose requests are copied\n"},
		{"mirror start m1 --service orders", "error: --candidate: is needed: the origin that is tried\n"},
		{"mirror start m1 --service orders --candidate eks --share 1", "error: --share: \"1\": has no unit: it could mean 1 % or 1 basis points"},
		{"mirror start m1 --service orders --candidate eks --dry-run --watch", "error: --dry-run starts nothing, so there is nothing to --watch\n"},
		{"mirror start m1 --service orders --candidate eks --descriptors /nonexistent", "error: --descriptors: \"/nonexistent\": cannot be read: no such file or directory\n"},
		{"mirror start m1 --service orders --candidate eks --descriptors /dev/null", "error: --descriptors: \"/dev/null\": is empty"},
		{"mirror start m1 -f examples/mirror.yaml", "error: what a file says is not said again by a name or flags: give either\n"},
		{"mirror start -f examples/mirror.yaml --share 2%", "error: what a file says is not said again by a name or flags: give either\n"},
		{"mirror start -f examples/service.yaml", "error: exactly one document of kind Mirror is started at a time\n"},
		{"mirror report m1 -o xml", "error: --output: \"xml\": must be table, json, yaml or markdown\n"},
		{"mirror diffs m1 --state bad", "error: --state: \"bad\": must be finding, open, noise, blind or all\n"},
		{"mirror diffs m1 -o markdown", "error: --output: \"markdown\": must be table, json or yaml\n"},
		{"mirror explain m1 0", "error: N: \"0\": must be the number of a difference, 1 or more\n"},
		{"mirror watch", "error: MIRROR is missing\n"},
		{"rollout start", "error: ROLLOUT is missing: a name for the rollout\nusage: shadowctl rollout start ROLLOUT|-f FILE"},
		{"rollout run", "error: ROLLOUT is missing: a name for the rollout\n"},
		{"rollout run r1", "error: --service: is needed: the service whose traffic moves\nflags describe the whole rollout"},
		{"rollout start r1 --bake 1m", "error: --service: is needed: the service whose traffic moves\n"},
		{"rollout start r1 --service orders --preset 10", "error: --to: is needed: the origin that traffic moves to\n"},
		{"rollout start r1 --service orders --to eks", "error: --preset: is needed: the weights of the steps in percent, for example 10,50,100\n"},
		{"rollout start r1 --service orders --to eks --preset 10 --guard p99<10s", "error: --guard: \"p99<10s\": must be like p99<=10s, errorRate<=0.5%, p99<=1.2x:ecs, requests>=100 or mirror:m1\n"},
		{"rollout start r1 --service orders --to eks --preset 10 --approve-before 50%:approver", "error: --approve-before: \"50%:approver\": is before no step: the weights are 10\n"},
		{"rollout start r1 --service orders --to eks --preset 10 --approve-before 10:approver", "error: --approve-before: \"10\": has no unit"},
		{"rollout start r1 --service orders --to eks --preset 10 --approve-before 10%", "error: --approve-before: \"10%\": must be WEIGHT:ROLE"},
		{"rollout start r1 --service orders --to eks --preset 10 --approve-before 10%:a --approve-before 10%:b", "error: --approve-before: \"10%:b\": this step has a gate already\n"},
		{"rollout start r1 --service orders --to eks --preset x --approve-before 10%:a", "error: --preset: \"x\": is not a weight in percent\n"},
		{"rollout start r1 --dry-run --watch", "error: --dry-run starts nothing, so there is nothing to --watch\n"},
		{"rollout start r1 -f testdata/rollout.yaml", "error: what a file says is not said again by a name or flags: give either\n"},
		{"rollout run -f testdata/rollout.yaml --to eks", "error: what a file says is not said again by a name or flags: give either\n"},
		{"rollout start -f examples/service.yaml", "error: exactly one document of kind Rollout is started at a time\n"},
		{"rollout run r1 --lease 0s", "error: --lease: \"0s\": must be more than 0\n"},
		{"rollout approve", "error: ROLLOUT is missing\nusage: shadowctl rollout approve ROLLOUT"},
		{"rollout approve r1 --step -1", "error: --step: \"-1\": must be the number of a step, 1 or more\n"},
		{"rollout pause r1 --step 1", "error: unknown flag: --step\n"},
		{"rollout stop r1", "error: shadowctl rollout has no command \"stop\"\n"},
	} {
		r := d.at(t, strings.Fields(tt.args)...)
		if r.exit != 2 || !strings.HasPrefix(r.err, tt.want) || r.out != "" {
			t.Errorf("%s: exit %d, out %q\ngot  %s\nwant %s", tt.args, r.exit, r.out, r.err, tt.want)
		}
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestAResultThatCannotBeWrittenIsNoSuccess, in whatever form.
func TestAResultThatCannotBeWrittenIsNoSuccess(t *testing.T) {
	d := serve(t, &double{answer: canned(world())})
	for _, output := range []string{"table", "json", "yaml"} {
		var errs bytes.Buffer
		a := &app{out: fullDisk{}, err: &errs, now: func() time.Time { return now }, env: func(string) string { return "" }}
		exit := a.run(t.Context(), []string{"get", "services", "-o", output, "--server", d.address})
		if exit != int(exitInternal) || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("-o %s: exit %d, %q", output, exit, errs.String())
		}
	}
}
