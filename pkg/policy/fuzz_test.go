package policy_test

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// FuzzCompileService feeds documents as JSON, the form that YAML becomes: whatever they hold, there is a service or a list of errors
// that say enough, the document stays as it is, and a service that compiles survives every operation.
func FuzzCompileService(f *testing.F) {
	r := policytest.NewRand(1)
	for _, doc := range policytest.Services(r, 20, policytest.Options{Elsewhere: true}) {
		f.Add([]byte(protojson.Format(doc)))
	}
	for _, c := range badServices() {
		doc := orders()
		c.change(doc)
		if data, err := protojson.Marshal(doc); err == nil && len(data) < 4096 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc := &crossfadev1.Service{}
		if protojson.Unmarshal(data, doc) != nil {
			return
		}
		before := proto.CloneOf(doc)
		s, errs := policy.CompileService(doc)
		if (s == nil) == (errs == nil) {
			t.Fatalf("service %v and errors %v", s, errs)
		}
		if !proto.Equal(before, doc) {
			t.Fatal("the document was changed")
		}
		for _, e := range errs {
			if e.Kind != policy.Invalid || e.Code == "" || e.Message == "" || len(e.Value) > 200 {
				t.Fatalf("an error says too little or too much: %+v", e)
			}
		}
		_ = policy.Diff(doc, orders())
		if s != nil {
			operate(t, doc, s)
		}
	})
}

// operate uses a service that compiles in every way.
func operate(t *testing.T, doc *crossfadev1.Service, s *policy.Service) {
	if errs := policy.CheckServices([]*policy.Service{s}); errs != nil {
		t.Fatalf("a service clashes with itself: %s", errs)
	}
	merged, errs := policy.Merge(doc, doc)
	if errs != nil || policy.RaisesTraffic(doc, merged) || policy.RaisesTraffic(merged, doc) {
		t.Fatalf("an apply of the same raises traffic or fails: %v", errs)
	}
	rolled := mustCompile(t, policy.RolledBack(merged, false))
	if rolled.Split.Weights[s.Primary] != policy.Whole {
		t.Fatal("a rollback leaves traffic elsewhere")
	}
	router := policy.NewRouter(&policy.Fleet{Name: s.Fleets[0]}, []*policy.Service{s})
	for _, d := range []policy.Dialect{envoy137, envoy140} {
		decision := router.WithDialect(d).Route(policytest.Request(policytest.NewRand(7), []*policy.Service{s}))
		if decision.Service != "" && (decision.Origin == "") == (decision.Chances == nil) {
			t.Fatalf("certain and drawn at once, or neither: %+v", decision)
		}
	}
}

// FuzzCompileMirror does the same for experiments.
func FuzzCompileMirror(f *testing.F) {
	r := policytest.NewRand(1)
	service := orders()
	for range 20 {
		f.Add([]byte(protojson.Format(policytest.Mirror(r, "first", service))))
	}
	for _, c := range badMirrors() {
		doc := first()
		c.change(doc)
		if data, err := protojson.Marshal(doc); err == nil && len(data) < 4096 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc := &crossfadev1.Mirror{}
		if protojson.Unmarshal(data, doc) != nil {
			return
		}
		before := proto.CloneOf(doc)
		m, errs := policy.CompileMirror(doc)
		if (m == nil) == (errs == nil) {
			t.Fatalf("experiment %v and errors %v", m, errs)
		}
		for _, e := range errs {
			if e.Kind != policy.Invalid || e.Code == "" || e.Message == "" || len(e.Value) > 200 {
				t.Fatalf("an error says too little or too much: %+v", e)
			}
		}
		_ = policy.Diff(doc, first())
		ended := policy.EndMirror(policy.RunMirror(policy.MergeMirror(doc, doc), "r1", time.Unix(1, 0)), time.Unix(2, 0), "stopped", "")
		if !policy.SameMirror(doc, ended) || !proto.Equal(before, doc) {
			t.Fatal("the document was changed")
		}
		if m != nil {
			if again := mustCompileMirror(t, policytest.ExplicitMirror(m)); !reflect.DeepEqual(m, again) {
				t.Fatalf("%+v\nwith defaults written out:\n%+v", m, again)
			}
			_, _ = m.For(mustCompile(t, service))
		}
	})
}
