package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// badMirror is an experiment with something wrong, and what has to be said about it: "code field", in this order.
type badMirror struct {
	name   string
	change func(*crossfadev1.Mirror)
	want   []string
}

// badMirrors is everything that an experiment can have wrong. The sentences are in testdata/mirror_errors.golden.
func badMirrors() []badMirror {
	return slices.Concat(badMirrorHeads(), badMirrorRequests(), badMirrorTimes(), badMirrorAnswers())
}

func badMirrorHeads() []badMirror {
	return []badMirror{
		{"empty document", func(d *crossfadev1.Mirror) { *d = crossfadev1.Mirror{} }, []string{
			"api_version apiVersion", "kind kind", "name_missing name", "name_missing service", "name_missing candidate", "share_range share",
		}},
		{"another version", func(d *crossfadev1.Mirror) { d.ApiVersion = "crossfade/v2" }, list("api_version", "apiVersion")},
		{"another kind", func(d *crossfadev1.Mirror) { d.Kind = "Service" }, list("kind", "kind")},
		{"name in capitals", func(d *crossfadev1.Mirror) { d.Name = "First" }, list("name_invalid", "name")},
		{"name too long", func(d *crossfadev1.Mirror) { d.Name = strings.Repeat("a", 64) }, list("name_too_long", "name")},
		{"no service", func(d *crossfadev1.Mirror) { d.Service = "" }, list("name_missing", "service")},
		{"no candidate", func(d *crossfadev1.Mirror) { d.Candidate = "" }, list("name_missing", "candidate")},
		{"candidate that is no name", func(d *crossfadev1.Mirror) { d.Candidate = "e k s" }, list("name_invalid", "candidate")},
		{"control that is no name", func(d *crossfadev1.Mirror) { d.Control = "@shadow" }, list("name_invalid", "control")},
		{"candidate is the control", func(d *crossfadev1.Mirror) { d.Control = d.Candidate }, list("candidate_is_control", "candidate")},
		{"unknown mode", func(d *crossfadev1.Mirror) { d.Mode = "Dark" }, list("mode_unknown", "mode")},
		{"control in the dark", func(d *crossfadev1.Mirror) { d.Mode, d.Control = "dark", "ecs" }, list("control_in_dark", "control")},
		{"run without a name", func(d *crossfadev1.Mirror) { d.Run = &crossfadev1.MirrorRun{} }, []string{"run_id run.id", "time_missing run.started"}},
		{"run before the year 1", func(d *crossfadev1.Mirror) {
			d.Run = &crossfadev1.MirrorRun{Id: "1", Started: &timestamppb.Timestamp{Seconds: -1 << 60}, Ended: &timestamppb.Timestamp{Nanos: -1}}
		}, []string{"time_invalid run.started", "time_invalid run.ended"}},
	}
}

func badMirrorRequests() []badMirror {
	return []badMirror{
		{"no share", func(d *crossfadev1.Mirror) { d.Share = 0 }, list("share_range", "share")},
		{"negative share", func(d *crossfadev1.Mirror) { d.Share = -1 }, list("share_range", "share")},
		{"more than everything", func(d *crossfadev1.Mirror) { d.Share = 10_001 }, list("share_range", "share")},
		{"negative rate", func(d *crossfadev1.Mirror) { d.MaxRps = -1 }, list("out_of_range", "maxRps")},
		{"rate that is none", func(d *crossfadev1.Mirror) { d.MaxRps = 100_001 }, list("out_of_range", "maxRps")},
		{"writes without consent", func(d *crossfadev1.Mirror) { d.Methods = []string{"GET", "POST", "DELETE"} }, []string{
			"writes_without_consent methods[1]", "writes_without_consent methods[2]",
		}},
		{"methods that are never copied", func(d *crossfadev1.Mirror) { d.AllowWrites, d.Methods = true, []string{"CONNECT", "TRACE"} }, []string{
			"method_never methods[0]", "method_never methods[1]",
		}},
		{"unknown methods", func(d *crossfadev1.Mirror) { d.AllowWrites, d.Methods = true, []string{"get", "FETCH", "", "P T"} }, []string{
			"method_unknown methods[0]", "method_unknown methods[1]", "method_unknown methods[2]", "method_unknown methods[3]",
		}},
		{"a method twice", func(d *crossfadev1.Mirror) { d.Methods = []string{"GET", "GET"} }, list("method_duplicate", "methods[1]")},
		{"too many methods", func(d *crossfadev1.Mirror) { d.Methods = slices.Repeat([]string{"GET"}, 8) }, list("too_many", "methods")},
		{"gRPC methods that are none", func(d *crossfadev1.Mirror) {
			d.GrpcMethods = []string{"Get", "shop.Orders.Get", "shop..Orders/Get", "shop.Orders/Get/x", "shop.Orders/", "1shop.Orders/Get", "*/*", strings.Repeat("a", 1025) + "/b"}
		}, []string{
			"grpc_method_invalid grpcMethods[0]", "grpc_method_invalid grpcMethods[1]", "grpc_method_invalid grpcMethods[2]", "grpc_method_invalid grpcMethods[3]",
			"grpc_method_invalid grpcMethods[4]", "grpc_method_invalid grpcMethods[5]", "grpc_method_invalid grpcMethods[6]", "too_long grpcMethods[7]",
		}},
		{"a gRPC method twice", func(d *crossfadev1.Mirror) { d.GrpcMethods = []string{"shop.Orders/Get", "/shop.Orders/Get"} }, list("method_duplicate", "grpcMethods[1]")},
		{"too many gRPC methods", func(d *crossfadev1.Mirror) { d.GrpcMethods = make([]string, 33) }, list("too_many", "grpcMethods")},
		{"bad paths", func(d *crossfadev1.Mirror) {
			d.PathPrefixes, d.AllowPaths, d.ExcludePaths = []string{"a"}, []string{"/a?x=1"}, []string{"/a", "/a/"}
		}, []string{"prefix_slash pathPrefixes[0]", "prefix_query allowPaths[0]", "prefix_duplicate excludePaths[1]"}},
		{"too many paths", func(d *crossfadev1.Mirror) {
			d.PathPrefixes, d.AllowPaths, d.ExcludePaths = make([]string, 17), make([]string, 65), make([]string, 65)
		}, []string{"too_many pathPrefixes", "too_many allowPaths", "too_many excludePaths"}},
		{"bad headers", func(d *crossfadev1.Mirror) {
			d.Headers = []*crossfadev1.ValueMatch{exact("cookie", "a"), regex("x-a", "("), regex("x-b", "a{200}"), {Name: "x-c"}, exact("x-shadow", "1"), exact("a b", "1")}
		}, []string{
			"header_reserved headers[0].name", "regex_invalid headers[1].regex", "regex_too_expensive headers[2].regex", "pin_condition headers[3]",
			"header_reserved headers[4].name", "header_invalid headers[5].name",
		}},
		{"too many headers", func(d *crossfadev1.Mirror) { d.Headers = make([]*crossfadev1.ValueMatch, 17) }, list("too_many", "headers")},
		{"bad headers to keep", func(d *crossfadev1.Mirror) {
			d.KeepHeaders = []string{"", "Cookie", "cookie", "a:b", strings.Repeat("a", 1025)}
		}, []string{"header_invalid keepHeaders[0]", "header_duplicate keepHeaders[2]", "header_invalid keepHeaders[3]", "too_long keepHeaders[4]"}},
		{"too many headers to keep", func(d *crossfadev1.Mirror) { d.KeepHeaders = make([]string, 17) }, list("too_many", "keepHeaders")},
		{"identity that is no name", func(d *crossfadev1.Mirror) { d.Identity = "Bearer x" }, list("name_invalid", "identity")},
	}
}

func badMirrorTimes() []badMirror {
	return []badMirror{
		{"too long", func(d *crossfadev1.Mirror) { d.Duration = durationpb.New(720*time.Hour + 1e6) }, list("duration_too_long", "duration")},
		{"too short", func(d *crossfadev1.Mirror) { d.Duration, d.Learn = durationpb.New(0), durationpb.New(0) }, list("duration_too_short", "duration")},
		{"negative durations", func(d *crossfadev1.Mirror) { d.Duration, d.Learn = durationpb.New(-1e9), durationpb.New(-1e9) }, []string{
			"duration_negative duration", "duration_negative learn",
		}},
		{"it would learn only", func(d *crossfadev1.Mirror) { d.Duration = durationpb.New(30 * time.Second) }, list("learn_above_duration", "learn")},
		{"bad stop conditions", func(d *crossfadev1.Mirror) {
			d.Stop = &crossfadev1.MirrorStop{CandidateErrors: -1, CandidateLatency: durationpb.New(1), ControlRefusals: 1_000_001}
		}, []string{"out_of_range stop.candidateErrors", "duration_too_fine stop.candidateLatency", "out_of_range stop.controlRefusals"}},
	}
}

func badMirrorAnswers() []badMirror {
	long := strings.Repeat("a", 1025)
	return []badMirror{
		{"noise over 100 %", func(d *crossfadev1.Mirror) { d.Noise = &crossfadev1.MirrorNoise{Share: new(int32(10_001))} }, list("share_range", "noise.share")},
		{"negative noise", func(d *crossfadev1.Mirror) { d.Noise = &crossfadev1.MirrorNoise{Share: new(int32(-1))} }, list("share_range", "noise.share")},
		{"cap without sense", func(d *crossfadev1.Mirror) { d.BodyCap = "big" }, list("size_invalid", "bodyCap")},
		{"cap too small", func(d *crossfadev1.Mirror) { d.BodyCap = "1023" }, list("out_of_range", "bodyCap")},
		{"cap too large", func(d *crossfadev1.Mirror) { d.BodyCap = "17MiB" }, list("out_of_range", "bodyCap")},
		{"bad rules", func(d *crossfadev1.Mirror) {
			d.Rules = []*crossfadev1.MirrorRule{
				{},
				{Path: "$.a", Action: "equal"},
				{Path: "$.a", Action: "tolerate", Window: durationpb.New(-1e9)},
				{Path: long, Endpoint: long, Pattern: long, Key: long, Action: "set"},
			}
		}, []string{
			"path_missing rules[0].path", "rule_action rules[0].action", "rule_action rules[1].action", "duration_negative rules[2].window",
			"too_long rules[3].endpoint", "too_long rules[3].path", "too_long rules[3].pattern", "too_long rules[3].key",
		}},
		{"bad lists", func(d *crossfadev1.Mirror) {
			d.Endpoints, d.CompareHeaders, d.Values = []string{long}, []string{"x y"}, []string{"state", "", "$" + long}
		}, []string{
			"too_long endpoints[0]", "header_invalid compareHeaders[0]", "too_long values[2]", "place_invalid values[0]", "place_invalid values[1]",
		}},
		{"too much of everything", func(d *crossfadev1.Mirror) {
			d.Rules, d.Endpoints, d.CompareHeaders, d.Values = make([]*crossfadev1.MirrorRule, 129), make([]string, 257), make([]string, 65), make([]string, 257)
			for i := range d.Rules {
				d.Rules[i] = &crossfadev1.MirrorRule{Path: fmt.Sprint("$.a", i), Action: "ignore"}
			}
			d.Grpc, d.MinPairs = &crossfadev1.MirrorGrpc{Descriptors: make([]byte, 1<<20+1)}, 100_000_001
		}, []string{"too_many rules", "too_many endpoints", "too_many compareHeaders", "too_many values", "out_of_range minPairs", "too_long grpc.descriptors"}},
		{"negative number of pairs", func(d *crossfadev1.Mirror) { d.MinPairs = -1 }, list("out_of_range", "minPairs")},
	}
}
