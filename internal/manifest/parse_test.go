package manifest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const head = "apiVersion: crossfade/v1\nkind: Service\n" // two lines

const mirror = "apiVersion: crossfade/v1\nkind: Mirror\n" // two lines

const rollout = "apiVersion: crossfade/v1\nkind: Rollout\n" // two lines

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"unknown field", head + "pathPrefix: [/]\n", `f.yaml:3:1: pathPrefix: there is no such field; did you mean pathPrefixes?`},
		{"snake case", head + "path_prefixes: [/]\n", `f.yaml:3:1: path_prefixes: there is no such field; did you mean pathPrefixes?`},
		{"unknown field, nothing near", head + "listener: {bananas: 1}\n", `f.yaml:3:12: listener.bananas: there is no such field; known here: port`},
		{"nested", head + "origins:\n- name: ecs\n  helthCheck: {}\n", `f.yaml:5:3: origins[0].helthCheck: there is no such field; did you mean healthCheck?`},
		{"tab", head + "origins:\n\t- name: ecs\n", `f.yaml:4:1: a tab is used for indentation; YAML allows only spaces there; replace the tab with spaces`},
		{"not yaml", head + "hosts: [a\n", `f.yaml:3: is not YAML: did not find expected ',' or ']'`},
		{"wrong type", head + "hosts: orders.test\n", `f.yaml:3:8: hosts: "orders.test": must be a list, not a text`},
		{"list for text", head + "name: [a]\n", `f.yaml:3:7: name: must be a text, not a list`},
		{"text for number", head + "listener: {port: http}\n", `f.yaml:3:18: listener.port: "http": must be a whole number`},
		{"quoted number", head + "listener: {port: \"80\"}\n", `f.yaml:3:18: listener.port: "80": must be a whole number; remove the quotes`},
		{"number too large", head + "listener: {port: 99999999999}\n", `f.yaml:3:18: listener.port: "99999999999": must be a whole number`},
		{"weight fraction", head + "split: {weights: {ecs: 90.5}}\n", `f.yaml:3:24: split.weights["ecs"]: "90.5": must be a whole number; write basis points (1000) or percent (10%)`},
		{"weight too fine", head + "split: {weights: {ecs: 12.345%}}\n", `f.yaml:3:24: split.weights["ecs"]: "12.345%": the finest step is 0.01%; round it`},
		{"bare duration", head + "timeouts: {idle: 60}\n", `f.yaml:3:18: timeouts.idle: "60": must be a duration such as 500ms, 1.5s or 24h; add the unit: 60s is 60 seconds`},
		{"bad duration", head + "timeouts: {idle: 1d}\n", `f.yaml:3:18: timeouts.idle: "1d": must be a duration such as 500ms, 1.5s or 24h`},
		{"empty pins", head + "pins: []\n", "f.yaml:3:1: pins: is empty, which could mean no pins or no change of them; leave it out to keep the pins that are live; remove one with `shadowctl pin rm SERVICE PIN`"},
		{"null pins", head + "pins:\n", "f.yaml:3:1: pins: is empty, which could mean no pins or no change of them; leave it out to keep the pins that are live; remove one with `shadowctl pin rm SERVICE PIN`"},
		{"empty split", head + "split: {}\n", "f.yaml:3:1: split: is empty, which gives no origin a weight; leave it out to keep the split that is live; change it with `shadowctl split set SERVICE ORIGIN=10%`"},
		{"empty weights", head + "split: {weights: {}}\n", "f.yaml:3:9: split.weights: is empty, which gives no origin a weight; leave it out to keep the split that is live; change it with `shadowctl split set SERVICE ORIGIN=10%`"},
		{"null", head + "name:\n", `f.yaml:3:6: name: has no value; it must be a text; give it one, or leave the field out`},
		{"given twice", head + "primary: ecs\nprimary: eks\n", `f.yaml:4:1: primary: is given twice, first on line 3; remove one of them`},
		{"two of one", head + "pins: [{header: {name: a}, cookie: {name: b}}]\n", `f.yaml:3:28: pins[0].cookie: cannot be set together with header; keep one of them`},
		{"two sources", head + "origins:\n- name: eks\n  static: {endpoints: [\"10.0.0.1:80\"]}\n  kubernetes: {cluster: c, namespace: n, service: s}\n", `f.yaml:6:3: origins[0].kubernetes: cannot be set together with static; keep one of them`},
		{"unknown field of a source", head + "origins:\n- name: eks\n  kubernetes: {cluster: c, namespace: n, service: s, portName: http}\n", `f.yaml:5:54: origins[0].kubernetes.portName: there is no such field; known here: cluster, namespace, service, port`},
		{"snake case of a source", head + "origins: [{cloud_map: {}}]\n", `f.yaml:3:12: origins[0].cloud_map: there is no such field; did you mean cloudMap?`},
		{"source without anything", head + "origins:\n- name: eks\n  ecs:\n", `f.yaml:5:7: origins[0].ecs: has no value; it must be a mapping (name: value); give it one, or leave the field out`},
		{"name of a port where a number is needed", head + "origins: [{ecs: {port: http}}]\n", `f.yaml:3:24: origins[0].ecs.port: "http": must be a whole number`},
		{"share without a unit", mirror + "share: 1.5\n", `f.yaml:3:8: share: "1.5": must be a whole number; write basis points (1000) or percent (10%)`},
		{"share too fine", mirror + "noise: {share: 0.001%}\n", `f.yaml:3:16: noise.share: "0.001%": the finest step is 0.01%; round it`},
		{"percentage that is no share", mirror + "minPairs: 10%\n", `f.yaml:3:11: minPairs: "10%": must be a whole number`},
		{"number without an end", mirror + "rules: [{abs: .inf}]\n", `f.yaml:3:15: rules[0].abs: ".inf": must be a number`},
		{"not a number", mirror + "rules: [{rel: .nan}]\n", `f.yaml:3:15: rules[0].rel: ".nan": must be a number`},
		{"number in hexadecimal", mirror + "rules: [{rel: 0x10}]\n", `f.yaml:3:15: rules[0].rel: "0x10": must be a number`},
		{"quoted fraction", mirror + "rules: [{rel: \"0.5\"}]\n", `f.yaml:3:15: rules[0].rel: "0.5": must be a number; remove the quotes`},
		{"not base64", mirror + "grpc: {descriptors: secret}\n", "f.yaml:3:21: grpc.descriptors: must be base64, with + and / and padded with =; write what `base64` prints"},
		{"bad time", mirror + "run: {started: 2026-01-31}\n", `f.yaml:3:16: run.started: "2026-01-31": must be a time such as 2026-01-31T12:00:00Z`},
		{"time before the year 1", mirror + "run: {started: 0000-01-31T12:00:00Z}\n", `f.yaml:3:16: run.started: "0000-01-31T12:00:00Z": must be a time such as 2026-01-31T12:00:00Z`},
		{"step without a unit, beside presets in percent", rollout + "steps: [{weight: 10}]\n", `f.yaml:3:18: steps[0].weight: "10": has no unit: it could mean 10 % or 10 basis points (hundredths of a percent); write 10% or 0.1%`},
		{"step in basis points", rollout + "steps: [{weight: 1000}]\n", `f.yaml:3:18: steps[0].weight: "1000": has no unit: it could mean 1000 % or 1000 basis points (hundredths of a percent); write 10%`},
		{"step that is no number", rollout + "steps: [{weight: ten}]\n", `f.yaml:3:18: steps[0].weight: "ten": is not a weight; write a number with a percent sign, for example 12.5%`},
		{"step over 100 %", rollout + "steps:\n- weight: 10%\n- weight: 101%\n", `f.yaml:5:11: steps[1].weight: "101%": a weight is at most 100%`},
		{"bake without a unit", rollout + "bake: 300\n", `f.yaml:3:7: bake: "300": must be a duration such as 500ms, 1.5s or 24h; add the unit: 300s is 300 seconds`},
		{"role at the wrong place", rollout + "steps:\n- gate: {role: approver}\n", `f.yaml:4:10: steps[0].gate.role: there is no such field; known here: approval`},
		{"unknown field of a guard", rollout + "guards:\n- metric: p99\n  maxratio: 1.2\n", `f.yaml:5:3: guards[0].maxratio: there is no such field; did you mean maxRatio?`},
		{"ratio that is none", rollout + "guards: [{maxRatio: 1.2x}]\n", `f.yaml:3:21: guards[0].maxRatio: "1.2x": must be a number`},
		{"guard of nothing", rollout + "guards: [{prometheus: }]\n", `f.yaml:3:23: guards[0].prometheus: has no value; it must be a mapping (name: value); give it one, or leave the field out`},
		{"what only a server writes", rollout + "run: {walk: e30=}\n", `f.yaml:3:7: run.walk: there is no such field; known here: id, started, starter, from, primary, state, step, weight, reason, ended, lease, starterName`},
		{"alias", head + "hosts: &h [a.test]\npathPrefixes: *h\n", `f.yaml:4:15: pathPrefixes: "*h": YAML aliases are not read; write the value out`},
		{"merge key", head + "listener: {<<: {port: 1}}\n", `f.yaml:3:12: listener: a key must be a plain name`},
		{"tag", head + "name: !secret x\n", `f.yaml:3:7: name: "!secret": YAML tags are not read; remove the tag`},
		{"no kind", "apiVersion: crossfade/v1\n", "f.yaml:1:1: kind: is missing: it says what the document describes, Service, Fleet, Mirror or Rollout; add `kind: Service`"},
		{"unknown kind", "apiVersion: crossfade/v1\nkind: Sevice\n", `f.yaml:2:7: kind: "Sevice": must be Service, Fleet, Mirror or Rollout; did you mean Service?`},
		{"no version", "kind: Fleet\n", "f.yaml:1:1: apiVersion: is missing; add `apiVersion: crossfade/v1`"},
		{"old version", "apiVersion: v0\nkind: Fleet\n", `f.yaml:1:13: apiVersion: "v0": must be crossfade/v1`},
		{"a list", "- a\n", `f.yaml:1:1: must be a mapping (name: value), not a list`},
		{"nothing", "# later\n---\n", "f.yaml: there is no document in it; `shadowctl example service` prints one to begin with"},
		{"second of two", head + "name: a\n---\n" + head + "nam: b\n", `f.yaml:7:1: nam: there is no such field; did you mean name?`},
		{"everything at once", head + "nam: b\nhost: a\n", "f.yaml:3:1: nam: there is no such field; did you mean name?\nf.yaml:4:1: host: there is no such field; did you mean hosts?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("f.yaml", []byte(tt.in))
			if err == nil {
				t.Fatalf("read as %v", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got:  %s\nwant: %s", err, tt.want)
			}
			var pe *policy.Error
			if !errors.As(err, &pe) || pe.Kind != policy.Invalid || pe.Code == "" {
				t.Errorf("no coded policy error in %#v", err)
			}
		})
	}
}

func TestErrorsCarryTheIndexOfTheirDocument(t *testing.T) {
	_, err := Parse("f.yaml", []byte(head+"name: a\n---\n"+head+"nam: b\n"))
	var pe *policy.Error
	if !errors.As(err, &pe) || pe.Document != 1 {
		t.Errorf("document of %v: %+v, want 1", err, pe)
	}
}

func TestTooLarge(t *testing.T) {
	_, err := Parse("f.yaml", make([]byte, MaxBytes+1))
	if err == nil || !strings.Contains(err.Error(), "at most 4 MiB are read at once") {
		t.Errorf("got %v", err)
	}
}

// TestEveryFieldIsRead holds the reader against every field of the schema, so that a field added later is not forgotten here.
func TestEveryFieldIsRead(t *testing.T) {
	data, err := os.ReadFile("testdata/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse("every-field.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	unset := map[string]bool{}
	for _, m := range []proto.Message{&crossfadev1.Service{}, &crossfadev1.Fleet{}, &crossfadev1.Mirror{}, &crossfadev1.Rollout{}} {
		listFields(m.ProtoReflect().Descriptor(), unset)
	}
	delete(unset, "crossfade.v1.RolloutRun.walk") // only a server reads it
	for _, p := range parsed {
		clearSet(Object(p.Document).ProtoReflect(), unset)
	}
	if len(unset) > 0 {
		t.Errorf("testdata/every-field.yaml does not set %v", unset)
	}
}

func TestLine(t *testing.T) {
	in := head + "name: a\n---\n" + `apiVersion: crossfade/v1
kind: Service
name: orders
hosts:
- orders.test
- "*.orders.test"
origins:
- name: ecs
  static: {endpoints: ["127.0.0.2:80"]}
- protocol: http1
  name: eks
split:
  weights:
    ecs: 9000
    my.origin: 1000
`
	parsed, err := Parse("f.yaml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]int{
		"": 5, "name": 7, "hosts": 8, "hosts[1]": 10, "hosts[7]": 8, "origins[0].static.endpoints[0]": 13, "origins[1].name": 15,
		"origins[1].static": 14, "split.weights": 17, "split.weights.ecs": 18, `split.weights["my.origin"]`: 19, "split.weights[ecs]": 18, "nothing": 5,
	} {
		if got := parsed[1].Line(field); got != want {
			t.Errorf("Line(%q) = %d, want %d", field, got, want)
		}
	}
	at := parsed[1].Locate(&policy.Error{Kind: policy.Invalid, Field: "origins[1].name", Message: "no"})
	if want := "f.yaml:15: origins[1].name: no"; at.Error() != want {
		t.Errorf("got %q, want %q", at, want)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"apiVersion", "name", "hosts", "pathPrefixes", "pins"}
	for name, want := range map[string]string{"host": "hosts", "path-prefix": "pathPrefixes", "Name": "name", "pin": "pins", "zzz": "", "": ""} {
		if got := strings.Join(Nearest(name, known), ","); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
