package shadow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

func TestOptionsOfAnExperiment(t *testing.T) {
	m := &policy.Mirror{
		Rules: []policy.MirrorRule{
			{Endpoint: "/orders/{id}", Path: "$.updated", Action: "tolerate", Window: time.Second},
			{Path: "$.price", Action: "tolerate", Abs: 0.5, Rel: 0.1},
			{Path: "$.items", Action: "set", Key: "id"},
			{Path: "body", Action: "tolerate", Pattern: "uuid"},
		},
		Endpoints: []string{"/orders/{id}"}, Compare: []string{"content-type"}, Values: []string{"$.state"}, Descriptors: shadowtest.Descriptors(),
	}
	o, errs := OptionsOf(m, key)
	if errs != nil {
		t.Fatal(errs)
	}
	got := fmt.Sprint(o.Rules, o.Endpoints, o.Headers, o.Values, o.Descriptors != nil)
	const want = "[{/orders/{id} $.updated tolerate 0 0 1s  } { $.price tolerate 0.5 0.1 0s  } { $.items set 0 0 0s  id} { body tolerate 0 0 0s uuid }] [/orders/{id}] [content-type] [$.state] true"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, errs := NewComparer(o); errs != nil {
		t.Error(errs)
	}
	if _, errs := NewTally(o); errs != nil {
		t.Error(errs)
	}
	if o, errs := OptionsOf(&policy.Mirror{}, nil); errs != nil || o.Descriptors != nil {
		t.Errorf("an experiment without anything special: %v, %v", o, errs)
	}
}

// Errors name fields of the document, so that an apply can show the line.
func TestOptionsOfABadExperiment(t *testing.T) {
	_, errs := OptionsOf(&policy.Mirror{
		Rules:     []policy.MirrorRule{{Path: "$.a", Action: "ignore"}, {Path: "$..", Action: "ignore"}, {Path: "$.b", Action: "tolerate", Pattern: "("}},
		Endpoints: []string{"/a", "b"}, Descriptors: []byte("no descriptors"),
	}, nil)
	var got []string
	for _, e := range errs {
		got = append(got, e.Code+" "+e.Field)
		if e.Kind != policy.Invalid {
			t.Errorf("%s is %s", e, e.Kind)
		}
	}
	want := []string{"path_invalid rules[1].path", "regex_invalid rules[2].pattern", "endpoint_invalid endpoints[1]", "descriptors_invalid grpc.descriptors"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// An apply looks at numbers and lengths: whatever it lets pass, the comparison takes.
func TestBoundsOfDocumentsAreThoseOfTheComparison(t *testing.T) {
	if policy.MaxMirrorRules > rule.MaxRules || policy.MaxMirrorEndpoints > endpoint.MaxGiven || policy.MaxMirrorValues > MaxValues || policy.MaxMirrorDescriptors > MaxDescriptorBytes {
		t.Error("a document may hold more than a comparison takes")
	}
	r := policytest.NewRand(1)
	service := policytest.Service(r, policytest.Options{})
	for i := range 100 {
		m, errs := policy.CompileMirror(policytest.Mirror(r, fmt.Sprint("m-", i), service))
		if errs != nil {
			t.Fatal(errs)
		}
		if _, errs := OptionsOf(m, nil); errs != nil {
			t.Fatal(errs)
		}
	}
}
