package semantics

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// coverage counts what random configurations and requests reached.
type coverage struct {
	configurations, requests, mismatches int
	fields                               map[protoreflect.FullName]int // configurations in which it differs from its default
	ends                                 map[string]int                // requests by what decided
}

func newCoverage() *coverage {
	return &coverage{fields: map[protoreflect.FullName]int{}, ends: map[string]int{}}
}

func (c *coverage) configuration(fleet *crossfadev1.Fleet, service *crossfadev1.Service) {
	c.configurations++
	for name := range notDefault(fleet, func() (any, error) { f, errs := policy.CompileFleet(fleet); return f, errs.Err() }) {
		c.fields[name]++
	}
	for name := range notDefault(service, func() (any, error) { s, errs := policy.CompileService(service); return s, errs.Err() }) {
		c.fields[name]++
	}
}

// notDefault returns the fields of a document that matter: without the field, it means something else or nothing at all.
func notDefault(doc proto.Message, compile func() (any, error)) map[protoreflect.FullName]bool {
	whole, _ := compile()
	out := map[protoreflect.FullName]bool{}
	walk(doc.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
		saved := proto.Clone(m.Interface()).ProtoReflect().Get(f)
		m.Clear(f)
		if less, err := compile(); err != nil || !reflect.DeepEqual(whole, less) {
			out[f.FullName()] = true
		}
		m.Set(f, saved)
	})
	return out
}

// walk visits the fields that are set in a message, those below before those above.
func walk(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	type field struct {
		f protoreflect.FieldDescriptor
		v protoreflect.Value
	}
	var fields []field
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		fields = append(fields, field{f, v})
		return true
	})
	for _, one := range fields {
		switch {
		case one.f.Message() == nil || one.f.IsMap():
		case one.f.IsList():
			for i := range one.v.List().Len() {
				walk(one.v.List().Get(i).Message(), visit)
			}
		default:
			walk(one.v.Message(), visit)
		}
		visit(m, one.f)
	}
}

func (c *coverage) request(d policy.Decision, a answer) {
	c.requests++
	switch {
	case d.Service == "":
		c.ends["404"]++
	case a.byProxy:
		c.ends["503"]++
	case d.Pin != "":
		c.ends["pin"]++
	case d.Chances != nil:
		c.ends["drawn"]++
	case d.Hash != nil:
		c.ends["sticky"]++
	default:
		c.ends["whole"]++
	}
}

// elsewhere are fields and messages of origins whose endpoints are not in the document, or behind TLS, and of ports that are served by TLS: what
// random configurations have listens in clear text at addresses of the test. pkg/xds/translate and test/e2e have tests of them.
var elsewhere = map[protoreflect.Name]bool{
	"ecs": true, "EcsService": true, "cloud_map": true, "CloudMapService": true, "kubernetes": true, "KubernetesService": true,
	"dns": true, "DnsName": true, "tls": true, "Tls": true, "zone": true, "ZonePreference": true,
	"listeners": true, "FleetListener": true, "ListenerTls": true, "KeyPair": true,
}

// check asserts that enough was reached.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	if c.configurations < 200 {
		t.Errorf("%d configurations, want 200", c.configurations)
	}
	for _, doc := range []proto.Message{&crossfadev1.Service{}, &crossfadev1.Fleet{}} {
		eachField(doc.ProtoReflect().Descriptor(), func(f protoreflect.FieldDescriptor) {
			if elsewhere[f.Name()] || elsewhere[f.Parent().Name()] {
				return
			}
			if n := c.fields[f.FullName()]; n < 10 {
				t.Errorf("%s differs from its default in %d of %d configurations, want 10", f.FullName(), n, c.configurations)
			}
		})
	}
	for _, end := range []string{"404", "503", "pin", "drawn", "sticky", "whole"} {
		if c.ends[end] < 100 {
			t.Errorf("%d of %d requests ended in %s, want 100", c.ends[end], c.requests, end)
		}
	}
}

// eachField visits the fields of a message of ours and of all messages in it.
func eachField(d protoreflect.MessageDescriptor, visit func(protoreflect.FieldDescriptor)) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		visit(f)
		if m := f.Message(); m != nil && !f.IsMap() && m.FullName().Parent() == d.FullName().Parent() {
			eachField(m, visit)
		}
	}
}
