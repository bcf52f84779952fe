package manifest

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// listFields collects the full names of every field that a message can hold.
func listFields(m protoreflect.MessageDescriptor, into map[string]bool) {
	if m.FullName().Parent() == "google.protobuf" {
		return
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		into[string(f.FullName())] = true
		if f.Message() != nil && !f.IsMap() {
			listFields(f.Message(), into)
		}
	}
}

// clearSet removes the fields that are set in m.
func clearSet(m protoreflect.Message, from map[string]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		delete(from, string(f.FullName()))
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				clearSet(v.List().Get(i).Message(), from)
			}
		case f.Message() != nil && !f.IsMap() && !f.IsList():
			clearSet(v.Message(), from)
		}
		return true
	})
}

// TestRoundTrip: a document written as YAML, and as JSON, reads as the same message.
func TestRoundTrip(t *testing.T) {
	data, err := os.ReadFile("testdata/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse("in", data)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, p := range parsed {
		text, err := YAML(p.Document)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
		sameDocument(t, p.Document, text)
		sameDocument(t, p.Document, JSON(Answer(p.Document)))
	}
	golden(t, "testdata/every-field.golden.yaml", out.Bytes())
}

func sameDocument(t *testing.T, want *crossfadev1.Document, text []byte) {
	t.Helper()
	again, err := Parse("again", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(again) != 1 || !proto.Equal(want, again[0].Document) {
		t.Errorf("not the same again:\n%s", text)
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 writes it):\n%s", path, got)
	}
}

func TestAnswerJSON(t *testing.T) {
	tests := []struct {
		name string
		in   proto.Message
		want string
	}{
		{"empties are there", &crossfadev1.ListResponse{}, `{"items":[],"nextPageToken":""}`},
		{
			"absent messages are not", &crossfadev1.Proxy{Proxy: "p", AckedRevision: math.MaxInt64},
			`{"proxy":"p","fleet":"","connected":false,"version":"","ackedRevision":9223372036854775807,"wantedRevision":0,"lagMs":0,"state":"","detail":""}`,
		},
		{
			"optional", &crossfadev1.OriginTraffic{Rps: 0.5, P99Ms: proto.Float64(0), Window: durationpb.New(1500e6)},
			`{"rps":0.5,"errorRate":0,"p99Ms":0,"requests":0,"window":"1.5s"}`,
		},
		{"not a number", &crossfadev1.OriginTraffic{Rps: math.NaN(), ErrorRate: 1e-7}, `{"rps":null,"errorRate":0.0000001,"requests":0}`},
		{
			"maps are sorted, times in UTC", &crossfadev1.WatchResponse{Type: "revision", Time: &timestamppb.Timestamp{Seconds: 1, Nanos: 5e8}},
			`{"type":"revision","time":"1970-01-01T00:00:01.5Z"}`,
		},
		{
			"doubles, and maps of messages", &crossfadev1.MirrorReport{Slower: 0.5, AskedRps: map[string]float64{"b": 2, "a": 1.5}, Latency: map[string]*crossfadev1.MirrorLatency{"eks": {P99: 1e-3}, "ecs": {}}},
			`{"mirror":"","service":"","mode":"","control":"","candidate":"","state":"","verdict":"","why":[],"mirrored":0,"compared":0,"unrepresentative":0,` +
				`"targetFailed":0,"dropped":{},"answered":0,"reasons":{},"overCap":0,"differences":[],"endpoints":[],` +
				`"latency":{"ecs":{"p50":0,"p90":0,"p99":0},"eks":{"p50":0,"p90":0,"p99":0.001}},"slower":0.5,"slowerP":0,"seen":[],"comparators":0,"lost":0,` +
				`"askedRps":{"a":1.5,"b":2},"share":0,"maxRps":0,"asked":{},"blind":0}`,
		},
		{
			"an experiment can be applied again", &crossfadev1.StartMirrorResponse{Mirror: &crossfadev1.Mirror{Kind: "Mirror", Share: 150}},
			`{"mirror":{"kind":"Mirror","share":150}}`,
		},
		{
			"enum", &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_PROVEN, Reason: "<a> & \"b\"\n"},
			`{"reason":"<a> & \"b\"\n","expectRevision":0,"idempotencyKey":"","wait":"proven","actor":"","force":false}`,
		},
		{
			"document", &crossfadev1.Revision{Before: &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{Kind: "Fleet", Name: "1"}}}},
			`{"revision":0,"who":"","verified":false,"action":"","service":"","reason":"","before":{"kind":"Fleet","name":"1"},"kind":"","stamp":"","rolledBack":false,"cause":""}`,
		},
		{
			"a rollout can be applied again, and its walk is nobody's to read",
			&crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: &crossfadev1.Rollout{Kind: "Rollout", Steps: []*crossfadev1.RolloutStep{{Weight: 1000, MinRequests: new(int64(0))}}, Run: &crossfadev1.RolloutRun{Id: "r1@7", Walk: []byte("{}")}}}},
			`{"kind":"Rollout","steps":[{"weight":1000,"minRequests":0}],"run":{"id":"r1@7"}}`,
		},
		{
			"a guard", &crossfadev1.RolloutStatus{Guards: []*crossfadev1.GuardStatus{{Name: "errors", Verdict: "Pass", Value: 0.001, Window: durationpb.New(1e10)}}},
			`{"name":"","service":"","state":"","step":0,"weight":0,"verdict":"","waitingFor":"",` +
				`"guards":[{"name":"errors","verdict":"Pass","value":0.001,"limit":0,"samples":0,"window":"10s","code":"","message":"","next":"","metric":"","evidence":0,"against":""}],` +
				`"to":"","from":"","primary":"","reason":"","startedBy":"","run":"","steps":[],"primaryGuards":[],"notes":[],"revision":0,"onFailure":"","drift":"","undelivered":0}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := JSON(Answer(tt.in))
			if string(got) != tt.want {
				t.Errorf("got:  %s\nwant: %s", got, tt.want)
			}
			if !json.Valid(got) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

func TestAnswerIsDeterministic(t *testing.T) {
	split := map[string]int32{}
	for _, o := range []string{"z", "a", "m", "b", "y", "c"} {
		split[o] = 1
	}
	const want = `{"a":1,"b":1,"c":1,"m":1,"y":1,"z":1}`
	for range 50 {
		if got := JSON(Answer(&crossfadev1.Change{Split: split})); !bytes.Contains(got, []byte(want)) {
			t.Fatalf("got %s", got)
		}
	}
}

func TestDurations(t *testing.T) {
	tests := []struct {
		in             *durationpb.Duration
		short, seconds string
	}{
		{&durationpb.Duration{}, "0s", "0s"},
		{&durationpb.Duration{Seconds: 86400}, "24h", "86400s"},
		{&durationpb.Duration{Seconds: 5400}, "1h30m", "5400s"},
		{&durationpb.Duration{Seconds: 3605}, "1h0m5s", "3605s"},
		{&durationpb.Duration{Seconds: 600}, "10m", "600s"},
		{&durationpb.Duration{Seconds: 1, Nanos: 500_000_000}, "1.5s", "1.5s"},
		{&durationpb.Duration{Nanos: 100_000_000}, "100ms", "0.1s"},
		{&durationpb.Duration{Seconds: -1, Nanos: -1}, "-1.000000001s", "-1.000000001s"},
		{&durationpb.Duration{Seconds: 315_576_000_000}, "315576000000s", "315576000000s"},
	}
	for _, tt := range tests {
		if got := FormatDuration(tt.in); got != tt.short {
			t.Errorf("FormatDuration(%v) = %q, want %q", tt.in, got, tt.short)
		}
		if got := FormatSeconds(tt.in); got != tt.seconds {
			t.Errorf("FormatSeconds(%v) = %q, want %q", tt.in, got, tt.seconds)
		}
	}
}
