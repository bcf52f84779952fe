package policy_test

import (
	"flag"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random documents")

func compileAll(t *testing.T, docs []*crossfadev1.Service) []*policy.Service {
	t.Helper()
	services := make([]*policy.Service, len(docs))
	for i, d := range docs {
		services[i] = mustCompile(t, d)
	}
	if errs := policy.CheckServices(services); errs != nil {
		t.Fatal(errs)
	}
	return services
}

// Writing every default out changes nothing, and compiling twice gives the same.
func TestDefaultsWrittenOutAreTheSame(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, doc := range policytest.Services(policytest.NewRand(*seed), 500, policytest.Options{MaxOrigins: 8, Elsewhere: true}) {
		s := mustCompile(t, doc)
		if again := mustCompile(t, doc); !reflect.DeepEqual(s, again) {
			t.Fatalf("seed %d: %s compiles to two things", *seed, doc.Name)
		}
		explicit := mustCompile(t, policytest.Explicit(s))
		if !reflect.DeepEqual(s, explicit) {
			t.Fatalf("seed %d:\n%+v\nwith defaults written out:\n%+v", *seed, s, explicit)
		}
	}
}

// Random operations in any order keep a document valid, and a rollback always ends them.
func TestOperationsKeepDocumentsValid(t *testing.T) {
	t.Logf("seed %d", *seed)
	r := policytest.NewRand(*seed)
	for _, doc := range policytest.Services(r, 200, policytest.Options{}) {
		merged, errs := policy.Merge(nil, doc)
		if errs != nil {
			t.Fatal(errs)
		}
		for range 20 {
			origin := merged.Origins[r.IntN(len(merged.Origins))].Name
			next := merged
			switch r.IntN(6) {
			case 0:
				next, errs = policy.WithSplit(merged, map[string]int32{origin: int32(policy.Whole)})
			case 1:
				pin := headerPin("extra", exact("x-extra", "1"))
				pin.Origin = origin
				next, errs = policy.WithPin(merged, pin)
			case 2:
				next, errs = policy.WithPrimary(merged, origin, true)
			case 3:
				next = policy.RolledBack(merged, r.IntN(2) == 0)
			case 4:
				next = policy.RolledBackIn(merged, policy.Fleets(merged)[0], r.IntN(2) == 0)
			case 5:
				again := proto.CloneOf(doc)
				again.Primary = merged.Primary
				next, errs = policy.Merge(merged, again)
			}
			if errs != nil {
				t.Fatalf("seed %d: %s", *seed, errs)
			}
			mustCompile(t, next)
			merged = next
		}
		home := mustCompile(t, policy.RolledBack(merged, false))
		for range 20 {
			if d := policy.NewRouter(nil, []*policy.Service{home}).Route(policytest.Request(r, []*policy.Service{home})); d.Service != "" && d.Origin != home.Primary {
				t.Fatalf("seed %d: after a rollback a request went to %+v", *seed, d)
			}
		}
	}
}

// The generator reaches every field of the schema, and requests reach everything that a router can decide.
func TestGeneratorReachesEverything(t *testing.T) {
	t.Logf("seed %d", *seed)
	r := policytest.NewRand(*seed)
	seen := map[protoreflect.FullName]int{}
	kinds := map[string]int{}
	for range 20 {
		docs := policytest.Services(r, 20, policytest.Options{Fleet: "default", Elsewhere: true})
		for _, d := range docs {
			countFields(d.ProtoReflect(), map[protoreflect.FullName]bool{}, seen)
		}
		services := compileAll(t, docs)
		router := policy.NewRouter(nil, services)
		for range 250 {
			countDecision(router, services, policytest.Request(r, services), kinds)
		}
	}
	eachField((&crossfadev1.Service{}).ProtoReflect().Descriptor(), func(f protoreflect.FieldDescriptor) {
		if n := seen[f.FullName()]; n < 20 {
			t.Errorf("seed %d: %s is set in %d of 400 documents, want 20", *seed, f.FullName(), n)
		}
	})
	for _, kind := range []string{"404", "pin header", "pin cookie", "pin query", "sticky", "drawn", "certain", "dialect"} {
		if kinds[kind] < 25 {
			t.Errorf("seed %d: %d of 5000 requests end in %s", *seed, kinds[kind], kind)
		}
	}
	t.Logf("decisions: %v", kinds)
}

func countDecision(router *policy.Router, services []*policy.Service, q policy.Request, kinds map[string]int) {
	d := router.Route(q)
	switch {
	case d.Service == "":
		kinds["404"]++
	case d.Pin != "":
		kinds["pin "+string(pinOf(services, d).Match.On)]++
	case d.Chances != nil:
		kinds["drawn"]++
	case d.Hash != nil:
		kinds["sticky"]++
	default:
		kinds["certain"]++
	}
	if old := router.WithDialect(envoy137).Route(q); old.Pin != d.Pin {
		kinds["dialect"]++
	}
}

func pinOf(services []*policy.Service, d policy.Decision) *policy.Pin {
	for _, s := range services {
		for i := range s.Pins {
			if s.Name == d.Service && s.Pins[i].Name == d.Pin {
				return &s.Pins[i]
			}
		}
	}
	return nil
}

// countFields counts, once per document, the fields that are set anywhere in it.
func countFields(m protoreflect.Message, once map[protoreflect.FullName]bool, seen map[protoreflect.FullName]int) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !once[f.FullName()] {
			once[f.FullName()] = true
			seen[f.FullName()]++
		}
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				countFields(v.List().Get(i).Message(), once, seen)
			}
		default:
			countFields(v.Message(), once, seen)
		}
		return true
	})
}

// eachField visits the fields of a message of ours and of all messages in it.
func eachField(d protoreflect.MessageDescriptor, visit func(protoreflect.FieldDescriptor)) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		visit(f)
		if m := f.Message(); m != nil && !f.IsMap() && m.FullName().Parent() == "crossfade.v1" {
			eachField(m, visit)
		}
	}
}

func TestSameSeedSameDocuments(t *testing.T) {
	make := func() ([]*crossfadev1.Service, []policy.Request) {
		r := policytest.NewRand(*seed)
		docs := policytest.Services(r, 20, policytest.Options{})
		services := compileAll(t, docs)
		var requests []policy.Request
		for range 50 {
			requests = append(requests, policytest.Request(r, services))
		}
		return docs, requests
	}
	docs1, requests1 := make()
	docs2, requests2 := make()
	for i := range docs1 {
		if !proto.Equal(docs1[i], docs2[i]) {
			t.Fatalf("seed %d: document %d differs", *seed, i)
		}
	}
	if !reflect.DeepEqual(requests1, requests2) {
		t.Fatalf("seed %d: requests differ", *seed)
	}
}
