package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// reporting answers with one report.
func reporting(t *testing.T, r *crossfadev1.MirrorReport) *double {
	t.Helper()
	return serve(t, &double{answer: mirrorsToo(canned(map[string]proto.Message{"GetMirrorReport": &crossfadev1.GetMirrorReportResponse{Report: r}}))})
}

// TestReportsFitATerminal: with 0, 3 and 200 differences, while it learns and in dark mode.
func TestReportsFitATerminal(t *testing.T) {
	for name, r := range map[string]*crossfadev1.MirrorReport{
		"0": mirrorReport(0), "3": mirrorReport(3), "200": mirrorReport(200), "learning": learning(), "dark": dark(), "ended": ended(mirrorReport(3), "candidate_errors"),
	} {
		t.Run(name, func(t *testing.T) {
			d := reporting(t, r)
			got := shadowctl(t.Context(), invocation{args: []string{"mirror", "report", r.GetMirror()}, color: true, width: 120, env: map[string]string{"CROSSFADE_SERVER": d.address}})
			golden(t, "mirror-report-terminal-"+name, got.out)
			for line := range strings.Lines(got.out) {
				if rowsOf(line, 120) > 1 {
					t.Errorf("a line of more than 120 columns: %s", line)
				}
			}
			golden(t, "mirror-report-markdown-"+name, d.at(t, "mirror", "report", r.GetMirror(), "-o", "markdown").out)
		})
	}
}

// TestACommentFitsAPullRequest: GitHub takes 65,536 characters.
func TestACommentFitsAPullRequest(t *testing.T) {
	r := mirrorReport(200)
	for _, d := range r.Differences {
		d.Endpoint += strings.Repeat("/segment", 25)
	}
	if n := len(markdownReport(r)); n > 65_000 {
		t.Errorf("%d bytes", n)
	}
}

// TestMarkdownOfOthersIsNoMarkup: what comes from traffic or messages paints no table and calls nobody.
func TestMarkdownOfOthersIsNoMarkup(t *testing.T) {
	r := mirrorReport(3)
	r.Differences[0].Endpoint = "/a`|b | c"
	r.Why[0].Message = "<script> @all [x](http://x)"
	got := markdownReport(r)
	for _, bad := range []string{"<script>", "@all", " [x](", "|b | c"} {
		if strings.Contains(got, bad) {
			t.Errorf("it holds %q:\n%s", bad, got)
		}
	}
}

// TestVerdictsAreExitCodes, where they are asked for.
func TestVerdictsAreExitCodes(t *testing.T) {
	for verdict, want := range map[string]int{"Pass": 0, "Fail": 8, "Inconclusive": 9, "Error": 1} {
		r := mirrorReport(0)
		r.Verdict = verdict
		d := reporting(t, r)
		d.watchMirror = func(_ *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
			return out.Send(&crossfadev1.WatchMirrorResponse{Time: timestamppb.New(now), Report: ended(r, "duration")})
		}
		for _, tt := range []struct {
			args string
			want int
		}{
			{"mirror report m1", 0},
			{"mirror report m1 --exit-code", want},
			{"mirror report m1 --exit-code -o json", want},
			{"mirror report m1 --exit-code -o markdown", want},
			{"mirror watch m1", want},
			{"mirror start m1 --service orders --candidate eks --watch", want},
		} {
			if got := d.at(t, strings.Fields(tt.args)...); got.exit != tt.want || got.out == "" || strings.Contains(got.err, "error") {
				t.Errorf("%s with %s: exit %d, want %d: %s%s", tt.args, verdict, got.exit, tt.want, got.out, got.err)
			}
		}
	}
}

// TestWhatIsStarted: a document of flags, a file, or a name alone.
func TestWhatIsStarted(t *testing.T) {
	d := serve(t, &double{answer: mirrorsToo(canned(nil))})
	for _, tt := range []struct{ args, want string }{
		{"m1", `{"name":"m1"}`},
		{"m1 --dry-run", `{"name":"m1","dryRun":true}`},
		{"m1 --service orders --candidate eks", `{"mirror":{"apiVersion":"crossfade/v1","kind":"Mirror","name":"m1","service":"orders","candidate":"eks","share":100}}`},
		{
			"m1 --service s --candidate b --control a --share 12.5% --max-rps 7 --duration 30m --learn 0s --methods GET,POST --allow-writes --keep-header cookie --keep-header x-a --path-prefix /a --identity probe --ignore $.a --ignore header:b --grpc-method shop.Orders/Get",
			`{"mirror":{"apiVersion":"crossfade/v1","kind":"Mirror","name":"m1","service":"s","control":"a","candidate":"b","share":1250,"maxRps":7,"methods":["GET","POST"],"grpcMethods":["shop.Orders/Get"],"allowWrites":true,"pathPrefixes":["/a"],"duration":"30m","learn":"0s","rules":[{"path":"$.a","action":"ignore"},{"path":"header:b","action":"ignore"}],"keepHeaders":["cookie","x-a"],"identity":"probe"}}`,
		},
		{"m1 --service s --candidate b --dark", `{"mirror":{"apiVersion":"crossfade/v1","kind":"Mirror","name":"m1","service":"s","mode":"dark","candidate":"b","share":100}}`},
	} {
		r := d.at(t, append([]string{"mirror", "start"}, strings.Fields(tt.args)...)...)
		calls := d.asked()
		req := calls[len(calls)-1].in.(*crossfadev1.StartMirrorRequest)
		if req.GetOptions().GetIdempotencyKey() == "" || req.GetOptions().GetActor() == "" {
			t.Errorf("%s: options %v", tt.args, req.GetOptions())
		}
		req.Options = nil
		got := manifest.Node(req)
		if got := string(manifest.JSON(got)); r.exit != 0 || got != tt.want {
			t.Errorf("%s: exit %d\ngot  %s\nwant %s\n%s", tt.args, r.exit, got, tt.want, r.err)
		}
	}
}

// TestAnExperimentThatRunsAlreadyIsSaidToRun: to start it again is no news.
func TestAnExperimentThatRunsAlreadyIsSaidToRun(t *testing.T) {
	d := serve(t, &double{answer: func(context.Context, string, proto.Message) (proto.Message, error) {
		return &crossfadev1.StartMirrorResponse{Change: &crossfadev1.Change{Kind: "Mirror", Service: "m1", Action: "none"}, Mirror: mirrorDoc()}, nil
	}})
	if r := d.at(t, "mirror", "start", "m1"); r.exit != 0 || !strings.HasPrefix(r.out, "mirror m1: runs already. Nothing was to change.\n") {
		t.Errorf("exit %d: %s%s", r.exit, r.out, r.err)
	}
}

// TestDiffsAreFiltered by state, endpoint and kind, and keep their numbers.
func TestDiffsAreFiltered(t *testing.T) {
	d := reporting(t, mirrorReport(3))
	for args, want := range map[string]string{
		"": "1 2 3 4", "--state all": "1 2 3 4 5 6 7", "--state blind": "6 7", "--state finding": "1 2 3", "--state open": "4", "--state noise": "5",
		"--endpoint {id}": "1 4", "--kind status": "1", "--state all --kind json_number": "3 5 7", "--kind nothing": "",
	} {
		r := d.at(t, strings.Fields("mirror diffs m1 -o json "+args)...)
		var got struct{ Items []struct{ Number int } }
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%s: %v: %s%s", args, err, r.out, r.err)
		}
		var numbers []string
		for _, i := range got.Items {
			numbers = append(numbers, fmt.Sprint(i.Number))
		}
		if joined := strings.Join(numbers, " "); joined != want {
			t.Errorf("%q: %s, want %s", args, joined, want)
		}
	}
}

// TestRulesThatAreOffered are taken as they are written.
func TestRulesThatAreOffered(t *testing.T) {
	for _, tt := range []struct{ kind, path, want string }{
		{"failure", "failure", ""},
		{"status", "status", `- {endpoint: '/a/{id}', path: status, action: ignore}`},
		{"json_order", "$.a", `- {endpoint: '/a/{id}', path: $.a, action: set}`},
		{"json_number", "$.a", `- {endpoint: '/a/{id}', path: $.a, action: tolerate, pattern: number}`},
		{"json_missing", "$.a.{key}[*].b", `- {endpoint: '/a/{id}', path: '$.a.*[*].b', action: ignore}`},
		{"header_added", "header:x-a", `- {endpoint: '/a/{id}', path: 'header:x-a', action: ignore}`},
		{"header_added", "header:{name}", ""},
		{"text", "body", `- {endpoint: '/a/{id}', path: body, action: tolerate, pattern: '(?m)^\d{4}-\d\d-\d\d,'}`},
		{"header_changed", "header:location", `- {endpoint: '/a/{id}', path: 'header:location', action: tolerate, pattern: 'https://[a-z0-9.-]+/orders/[0-9]+\?state=[0-9A-Za-z_-]+'}`},
		{"header_missing", "header:location", `- {endpoint: '/a/{id}', path: 'header:location', action: ignore}`},
	} {
		rule, hint := ruleFor(&crossfadev1.MirrorReport{}, &crossfadev1.MirrorDifference{Endpoint: "/a/{id}", Kind: tt.kind, Path: tt.path})
		if hint == "" || (rule == nil) != (tt.want == "") {
			t.Fatalf("%s: %v, %q", tt.kind, rule, hint)
		}
		if rule == nil {
			continue
		}
		given := offline(t, "apiVersion: crossfade/v1\nkind: Mirror\nname: m\nservice: s\ncandidate: b\nshare: 1%\nrules:\n"+tt.want+"\n", "validate", "-f", "-")
		var b bytes.Buffer
		(&app{out: &b}).sayRuleText(rule)
		if !strings.Contains(b.String(), tt.want) || given.exit != 0 {
			t.Errorf("%s: %s, want %s; %s", tt.kind, b.String(), tt.want, given.err)
		}
	}
}

// TestNothingOfTrafficReachesTheTerminal: a template or a message with control characters.
func TestNothingOfTrafficReachesTheTerminal(t *testing.T) {
	r := mirrorReport(3)
	const bad = "\x1b[2Jgone\n"
	r.Differences[0].Endpoint, r.Differences[0].Path, r.Differences[0].Kind = "/"+bad, bad, bad
	r.Differences[0].Example.Control.Value = bad
	r.Why[0].Message, r.Why[0].Next = bad, bad
	r.Endpoints[0].Endpoint = bad
	r.Dropped[bad] = 7
	r.Latency[bad] = r.Latency["ecs"]
	r.Candidate = bad
	d := reporting(t, r)
	for _, args := range []string{"mirror report m1", "mirror diffs m1", "mirror explain m1", "mirror explain m1 1", "mirror report m1 -o markdown"} {
		if got := d.at(t, strings.Fields(args)...); strings.Contains(got.out+got.err, "\x1b") {
			t.Errorf("%s: %q", args, got.out)
		}
	}
}

// TestMirrorsAreExported: what `get mirrors -o yaml` writes can be applied again.
func TestMirrorsAreExported(t *testing.T) {
	d := serve(t, &double{answer: mirrorsToo(canned(world()))})
	all := d.at(t, "get", "mirrors", "-o", "yaml")
	if all.exit != 0 || strings.Count(all.out, "kind: Mirror") != 2 {
		t.Fatalf("exit %d: %s%s", all.exit, all.out, all.err)
	}
	one := d.at(t, "get", "mirror", "m1", "-o", "yaml")
	if again := offline(t, one.out, "validate", "-f", "-"); again.exit != 0 {
		t.Errorf("exit %d: %s\n%s", again.exit, again.err, one.out)
	}
}

// TestValidateSetsExperimentsAgainstTheirServices, where both are in the files.
func TestValidateSetsExperimentsAgainstTheirServices(t *testing.T) {
	mirror := "---\napiVersion: crossfade/v1\nkind: Mirror\nname: m1\nservice: orders\ncandidate: %s\nshare: 1%%\n"
	for _, tt := range []struct {
		text string
		exit int
		want string
	}{
		{full + fmt.Sprintf(mirror, "eks"), 0, ""},
		{full + fmt.Sprintf(mirror, "gke"), 2, `stdin:19: candidate: "gke"`},
		{full + fmt.Sprintf(mirror, "ecs"), 2, `stdin:19: candidate: "ecs"`},
		{full + fmt.Sprintf(mirror, "eks") + fmt.Sprintf(mirror, "eks"), 2, `name: "m1": two documents set mirror "m1"`},
		{strings.TrimPrefix(fmt.Sprintf(mirror, "gke"), "---\n"), 0, ""},
	} {
		if r := offline(t, tt.text, "validate", "-f", "-"); r.exit != tt.exit || !strings.Contains(r.err, tt.want) {
			t.Errorf("exit %d: %s, want %s", r.exit, r.err, tt.want)
		}
	}
}
