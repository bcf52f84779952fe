package policy_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// first is a small valid experiment that cases change.
func first() *crossfadev1.Mirror {
	return &crossfadev1.Mirror{ApiVersion: "crossfade/v1", Kind: "Mirror", Name: "first", Service: "orders", Candidate: "eks", Share: 100}
}

func mustCompileMirror(t testing.TB, doc *crossfadev1.Mirror) *policy.Mirror {
	t.Helper()
	m, errs := policy.CompileMirror(doc)
	if errs != nil {
		t.Fatalf("%s\n%s", errs, protojson.Format(doc))
	}
	return m
}

func TestCompileMirrorRefuses(t *testing.T) {
	var golden strings.Builder
	for _, c := range badMirrors() {
		t.Run(c.name, func(t *testing.T) {
			doc := first()
			c.change(doc)
			before := proto.CloneOf(doc)
			m, errs := policy.CompileMirror(doc)
			if m != nil {
				t.Error("an experiment came with the errors")
			}
			if got := codesAndFields(errs); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if !proto.Equal(doc, before) {
				t.Error("the document was changed")
			}
			fmt.Fprintf(&golden, "# %s\n%s\n\n", c.name, errs)
		})
	}
	checkGolden(t, "mirror_errors.golden", golden.String())
	if _, errs := policy.CompileMirror(nil); len(errs) != 1 || errs[0].Code != "document_empty" {
		t.Error(errs)
	}
}

func TestCompileMirrorDefaults(t *testing.T) {
	want := &policy.Mirror{
		Name: "first", Service: "orders", Mode: policy.Compare, Candidate: "eks", Share: 100, Methods: []string{"GET", "HEAD", "OPTIONS"},
		NoiseShare: 2000, Duration: time.Hour, Learn: time.Minute, BodyCap: 1 << 20, Stop: policy.MirrorStop{CandidateErrors: 500, ControlRefusals: 3}, MinPairs: 5000,
	}
	if m := mustCompileMirror(t, first()); !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestCompileMirrorFolds(t *testing.T) {
	doc := first()
	doc.Methods, doc.AllowWrites, doc.GrpcMethods = []string{"PUT", "GET"}, true, []string{"shop.Orders/List", "/shop.Orders/Get", "Orders/_x1"}
	doc.PathPrefixes, doc.KeepHeaders, doc.CompareHeaders = []string{"/b/", "/a"}, []string{"Authorization", "COOKIE"}, []string{"X-B", "x-a"}
	doc.Noise, doc.Learn, doc.BodyCap = &crossfadev1.MirrorNoise{Share: new(int32(0))}, durationpb.New(0), "500kB"
	m := mustCompileMirror(t, doc)
	got := fmt.Sprint(m.Methods, m.GRPCMethods, m.PathPrefixes, m.Keep, m.Compare, m.NoiseShare, m.Learn, m.BodyCap)
	if want := "[GET PUT] [/Orders/_x1 /shop.Orders/Get /shop.Orders/List] [/a /b] [authorization cookie] [x-b x-a] 0 0s 500000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	doc.Methods = nil
	if m := mustCompileMirror(t, doc); m.Methods != nil {
		t.Errorf("gRPC methods alone are named, and %v are copied as well", m.Methods)
	}
	doc.Mode, doc.Noise = "dark", nil
	if m := mustCompileMirror(t, doc); m.NoiseShare != 0 {
		t.Errorf("control is asked in the dark: %v", m.NoiseShare)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int{
		"1MiB": 1 << 20, "64KiB": 64 << 10, "500kB": 500_000, "2MB": 2_000_000, "65536": 65536, " 12 B ": 12, "0": 0, "007": 7,
	} {
		if got, err := policy.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for text, code := range map[string]string{
		"": "size_missing", " ": "size_missing", "MiB": "size_invalid", "1.5MiB": "size_invalid", "-1": "size_invalid", "1GiB": "size_invalid", "1mb": "size_invalid",
		"1 MiB 2": "size_invalid", "9999MiB": "size_range", "99999999999999999999": "size_range", "4294967296": "size_range",
	} {
		var e *policy.Error
		if got, err := policy.ParseSize(text); !errors.As(err, &e) || e.Code != code || got != 0 {
			t.Errorf("%q: %d, %v; want %s", text, got, err, code)
		}
	}
	for bytes, want := range map[int]string{0: "0", 1: "1", 1024: "1KiB", 1 << 20: "1MiB", 1500: "1500", 3 << 19: "1536KiB"} {
		if got := policy.FormatSize(bytes); got != want {
			t.Errorf("%d: %s; want %s", bytes, got, want)
		}
	}
}

func TestMirrorForItsService(t *testing.T) {
	s := mustCompile(t, orders())
	cases := map[string]struct {
		change  func(*crossfadev1.Mirror)
		control string
		want    []string
	}{
		"control is the primary":         {func(*crossfadev1.Mirror) {}, "ecs", nil},
		"control is named":               {func(m *crossfadev1.Mirror) { m.Control, m.Candidate = "eks", "ecs" }, "eks", nil},
		"in the dark there is none":      {func(m *crossfadev1.Mirror) { m.Mode = "dark" }, "", nil},
		"the primary may be tried there": {func(m *crossfadev1.Mirror) { m.Mode, m.Candidate = "dark", "ecs" }, "", nil},
		"no such candidate":              {func(m *crossfadev1.Mirror) { m.Candidate = "gke" }, "", list("origin_unknown", "candidate")},
		"no such control":                {func(m *crossfadev1.Mirror) { m.Control = "gke" }, "", list("origin_unknown", "control")},
		"the candidate is the primary":   {func(m *crossfadev1.Mirror) { m.Candidate = "ecs" }, "", list("candidate_is_control", "candidate")},
		"another service":                {func(m *crossfadev1.Mirror) { m.Service = "carts" }, "", list("service_unknown", "service")},
	}
	for name, c := range cases {
		doc := first()
		c.change(doc)
		m := mustCompileMirror(t, doc)
		got, errs := m.For(s)
		if !slices.Equal(codesAndFields(errs), c.want) || (got == nil) == (errs == nil) || got != nil && got.Control != c.control {
			t.Errorf("%s: %+v, %v", name, got, errs)
		}
		if got != nil && (got == m) != (m.Control == c.control) {
			t.Errorf("%s: the same experiment is copied, or another one is not", name)
		}
		if got != nil {
			if again, errs := got.For(s); again != got || errs != nil {
				t.Errorf("%s: looked at twice it is another one: %v", name, errs)
			}
		}
	}
	if _, errs := mustCompileMirror(t, first()).For(nil); !slices.Equal(codesAndFields(errs), list("service_unknown", "service")) {
		t.Error(errs)
	}
}

func TestMirrorOnItsService(t *testing.T) {
	doc := orders()
	doc.Fleets = []string{"eu", "us"}
	doc.RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "us", KeepPins: true}}
	s := mustCompile(t, doc)
	m := mustCompileMirror(t, first())
	with := s.WithMirror(m)
	if s.Mirror != nil || with.Mirror != m || with.WithMirror(m) != with || with.WithMirror(nil).Mirror != nil || s.WithMirror(nil) != s {
		t.Error("an experiment is lost, or the service was changed")
	}
	if eu := with.In("eu"); eu != with || eu.Mirror.Share != 100 {
		t.Error("a rollback elsewhere halts it")
	}
	us := with.In("us")
	if us.Mirror == nil || us.Mirror.Share != 0 || m.Share != 100 || us.Mirror.Name != m.Name {
		t.Errorf("where the service is rolled back requests are still copied: %+v", us.Mirror)
	}
	if h := us.Mirror; h.Halted() != h || s.In("us").Mirror != nil {
		t.Error("halted twice it is another one, or there is one where there was none")
	}
}

func TestMirrorRuns(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	doc := first()
	running := policy.RunMirror(doc, "r1", now)
	if m := mustCompileMirror(t, running); !m.Running() || !m.Ends().Equal(now.Add(time.Hour)) || mustCompileMirror(t, doc).Running() {
		t.Errorf("%+v", m.Run)
	}
	ended := policy.EndMirror(running, now.Add(time.Minute), "stopped", "by alice")
	m := mustCompileMirror(t, ended)
	if want := (policy.MirrorRun{ID: "r1", Started: now, Ended: now.Add(time.Minute), Why: "stopped", Detail: "by alice"}); m.Running() || m.Run != want {
		t.Errorf("%+v", m.Run)
	}
	if again := policy.EndMirror(ended, now.Add(time.Hour), "duration", ""); !proto.Equal(again, ended) {
		t.Errorf("the first reason is lost: %v", again.Run)
	}
	if never := policy.EndMirror(doc, now, "stopped", ""); never.Run != nil {
		t.Errorf("what never ran has ended: %v", never.Run)
	}
	if anew := policy.RunMirror(ended, "r2", now); anew.Run.Ended != nil || anew.Run.Id != "r2" || !policy.SameMirror(anew, doc) {
		t.Errorf("%v", anew.Run)
	}
	if doc.Run != nil || running.Run.Ended != nil {
		t.Error("a document was changed")
	}
}

func TestApplyOfAMirrorKeepsItsRun(t *testing.T) {
	live := policy.RunMirror(first(), "r1", time.Unix(1, 0))
	applied := policy.RunMirror(first(), "mine", time.Unix(2, 0))
	if out := policy.MergeMirror(live, applied); out.Run.Id != "r1" || applied.Run.Id != "mine" {
		t.Errorf("%v", out.Run)
	}
	if out := policy.MergeMirror(nil, applied); out.Run != nil {
		t.Errorf("an apply started it: %v", out.Run)
	}
	other := first()
	other.Share++
	if !policy.SameMirror(live, applied) || policy.SameMirror(live, other) || policy.SameMirror(nil, live) || !policy.SameMirror(nil, nil) {
		t.Error("what is the same is not, or what is not is")
	}
}

// Two conditions on one header have no names of their own, nor have rules.
func TestDiffOfMirrors(t *testing.T) {
	before := first()
	before.Headers = []*crossfadev1.ValueMatch{exact("x-a", "1")}
	before.Grpc = &crossfadev1.MirrorGrpc{Descriptors: []byte("old")}
	after := policy.RunMirror(before, "r1", time.Unix(1, 0))
	after.Share, after.Noise = 250, &crossfadev1.MirrorNoise{Share: new(int32(0))}
	after.Headers = []*crossfadev1.ValueMatch{prefix("x-a", "1"), regex("x-a", ".*2")}
	after.Rules = []*crossfadev1.MirrorRule{{Path: "$.price", Action: "tolerate", Abs: 0.25}, {Path: "body", Action: "ignore"}}
	after.Grpc = &crossfadev1.MirrorGrpc{Descriptors: []byte("new")}
	want := `share: 1% -> 2.5%
headers: [x-a] -> 
headers[0].name:  -> x-a
headers[x-a].name: x-a -> 
headers[x-a].exact: 1 -> 
headers[0].prefix:  -> 1
headers[1].name:  -> x-a
headers[1].regex:  -> .*2
noise.share:  -> 0%
rules[0].path:  -> $.price
rules[0].action:  -> tolerate
rules[0].abs:  -> 0.25
rules[1].path:  -> body
rules[1].action:  -> ignore
grpc.descriptors: 3 bytes, sha256 cba06b5736faf67e -> 3 bytes, sha256 11507a0e2f5e69d5
run.id:  -> r1
run.started:  -> 1970-01-01T00:00:01Z
`
	if got := diffText(before, after); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Writing every default out changes nothing, and compiling twice gives the same; a random experiment fits its service.
func TestMirrorDefaultsWrittenOutAreTheSame(t *testing.T) {
	t.Logf("seed %d", *seed)
	r := policytest.NewRand(*seed)
	for i, doc := range policytest.Services(r, 500, policytest.Options{MaxOrigins: 8}) {
		mirror := policytest.Mirror(r, fmt.Sprint("m-", i), doc)
		m := mustCompileMirror(t, mirror)
		if again := mustCompileMirror(t, mirror); !reflect.DeepEqual(m, again) {
			t.Fatalf("seed %d: %s compiles to two things", *seed, mirror.Name)
		}
		if explicit := mustCompileMirror(t, policytest.ExplicitMirror(m)); !reflect.DeepEqual(m, explicit) {
			t.Fatalf("seed %d:\n%+v\nwith defaults written out:\n%+v", *seed, m, explicit)
		}
		if _, errs := m.For(mustCompile(t, doc)); errs != nil {
			t.Fatalf("seed %d: %s", *seed, errs)
		}
	}
}
