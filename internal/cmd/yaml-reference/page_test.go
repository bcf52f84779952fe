package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func TestDefaultsAreTakenOutOfComments(t *testing.T) {
	tests := []struct{ comment, meaning, def string }{
		{`Time between sweeps. Default 10s.`, `Time between sweeps.`, `10s`},
		{`Time between checks. Default 10s, at least 100ms.`, `Time between checks. At least 100ms.`, `10s`},
		{`Methods. Default GET, HEAD; others need consent.`, `Methods.`, `GET, HEAD; others need consent`},
		{`The fleet. Default "default".`, `The fleet.`, `"default"`},
		{`"http1" (default) or "http2" (cleartext).`, `"http1" or "http2" (cleartext).`, `"http1"`},
		{`Its Path. Default: that of the request. More.`, `Its Path. More.`, `that of the request`},
		{`Health checks. Absent: none.`, `Health checks.`, `none`},
		{`Statuses: single ("200"). Default ["200"].`, `Statuses: single ("200").`, `["200"]`},
		{`Divided so. Absent in an apply: it stays.`, `Divided so. Absent in an apply: it stays.`, ``},
		{`The defaults are those of an ALB.`, `The defaults are those of an ALB.`, ``},
		{`Always "Service".`, `Always "Service".`, ``},
	}
	for _, tt := range tests {
		if meaning, def := splitDefault(tt.comment); meaning != tt.meaning || def != tt.def {
			t.Errorf("splitDefault(%q) = %q, %q; want %q, %q", tt.comment, meaning, def, tt.meaning, tt.def)
		}
	}
}

// TestWholeHasEveryField: what whole.yaml does not have could not be found to be required.
func TestWholeHasEveryField(t *testing.T) {
	required, err := requiredFields()
	if err != nil {
		t.Fatal(err)
	}
	messages := map[protoreflect.FullName]bool{}
	for _, m := range []proto.Message{&crossfadev1.Service{}, &crossfadev1.Fleet{}, &crossfadev1.Mirror{}, &crossfadev1.Rollout{}} {
		reach(m.ProtoReflect().Descriptor(), messages)
	}
	for name := range messages {
		if name.Parent() == "google.protobuf" {
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		fields := d.(protoreflect.MessageDescriptor).Fields()
		for j := range fields.Len() {
			if _, ok := required[fields.Get(j).FullName()]; !ok {
				t.Errorf("whole.yaml has no message with %s", fields.Get(j).FullName())
			}
		}
	}
	for name, want := range map[protoreflect.FullName]bool{
		"crossfade.v1.Service.hosts": true, "crossfade.v1.HealthCheck.path": true, "crossfade.v1.Retries.on": true,
		"crossfade.v1.Mirror.candidate": true, "crossfade.v1.Mirror.share": true, "crossfade.v1.Mirror.control": false, "crossfade.v1.MirrorRule.path": true,
		"crossfade.v1.Rollout.to": true, "crossfade.v1.Rollout.steps": false, "crossfade.v1.RolloutStep.weight": true, "crossfade.v1.RolloutGuard.max": false,
		"crossfade.v1.Service.fleet": false, "crossfade.v1.Retries.status_codes": false, "crossfade.v1.Pin.header": false,
	} {
		if required[name] != want {
			t.Errorf("%s required: %t, want %t", name, required[name], want)
		}
	}
}

// TestLimitsAreAllThere: the page names every bound of pkg/policy.
func TestLimitsAreAllThere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../pkg/policy/limits.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, l := range limits() {
		if l.name != "" {
			shown[l.name] = true
		}
	}
	found := 0
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if found++; !shown[name.Name] {
					t.Errorf("the reference does not name policy.%s: add it to limits()", name.Name)
				}
			}
		}
	}
	if found != len(shown) {
		t.Errorf("limits() has %d bounds of pkg/policy, limits.go there has %d", len(shown), found)
	}
}

func TestImageNeedsComments(t *testing.T) {
	var set descriptorpb.FileDescriptorSet
	for _, name := range []string{"google/protobuf/duration.proto", "google/protobuf/timestamp.proto", "crossfade/v1/service.proto", "crossfade/v1/mirror.proto", "crossfade/v1/rollout.proto"} {
		f, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	image, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(strings.NewReader(string(image)), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "no comments") {
		t.Errorf("an image without comments: %v", err)
	}
	if err := run(strings.NewReader("no image"), &strings.Builder{}); err == nil {
		t.Error("what is no image was accepted")
	}
}
