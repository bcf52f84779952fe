package access

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestEachMethodHasARow walks what the contract serves: a method that nobody wrote a row for is refused, and this says so before a user does.
func TestEachMethodHasARow(t *testing.T) {
	found := 0
	protoregistry.GlobalFiles.RangeFilesByPackage(crossfadev1.File_crossfade_v1_api_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				method := "/" + string(s.FullName()) + "/" + string(s.Methods().Get(j).Name())
				if found++; !Listed(method) {
					t.Errorf("%s has no row in the table of package access: say what it needs", method)
				}
				if strings.HasPrefix(method, admin) && rowOf(method).right != Administer {
					t.Errorf("%s is not for admins alone", method)
				}
			}
		}
		return true
	})
	if found < 30 {
		t.Errorf("only %d methods were found", found)
	}
	for full := range table {
		name := protoreflect.FullName(full[1:strings.LastIndexByte(full, '/')])
		if !strings.HasPrefix(full, "/crossfade.v1.") || strings.HasSuffix(full, "/*") {
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil || d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(full[strings.LastIndexByte(full, '/')+1:])) == nil {
			t.Errorf("the row %s is of no method", full)
		}
	}
}

func TestWithoutARowNobodyMay(t *testing.T) {
	g := New(map[string][]Member{Admin: {{Name: "root"}}}).Of("root")
	for _, method := range []string{"/crossfade.v1.CrossfadeService/Forgotten", "/crossfade.v2.CrossfadeService/Apply", "/x/y", "Apply", "", "/"} {
		r := Decide(g, method, &crossfadev1.ApplyRequest{}, none{})
		if r == nil || r.Role != "" {
			t.Errorf("%q: %+v", method, r)
		}
	}
}

// none is a lookup that knows nothing.
type none struct{}

func (none) ServiceOfMirror(string) string           { return "" }
func (none) TakesFrom(*crossfadev1.Service) []string { return nil }

func (none) ServiceOfRollout(string) string { return "" }

// world is a lookup in which the mirror or rollout NAME-1 is of service NAME.
type world struct{}

func (world) ServiceOfMirror(name string) string { return before(name) }

func (world) TakesFrom(*crossfadev1.Service) []string { return nil }

func (world) ServiceOfRollout(name string) string { return before(name) }

func before(name string) string {
	service, _, ok := strings.Cut(name, "-1")
	if !ok {
		return ""
	}
	return service
}

// TestARequestOfAnotherTypeIsNobodysButAnAdmins: a row that is asked about a request it does not know finds every service.
func TestARequestOfAnotherTypeIsForWhoMayAll(t *testing.T) {
	g := New(map[string][]Member{Operator: {{Name: "ci", Services: []string{"orders"}}}}).Of("ci")
	for full, row := range table {
		if row.find == nil || strings.HasSuffix(full, "/*") {
			continue
		}
		for _, request := range []any{nil, "text", &crossfadev1.GetServerInfoRequest{}} {
			if r := Decide(g, full, request, world{}); r == nil && row.right != Read {
				t.Errorf("%s takes a %T of who may change orders alone", full, request)
			}
		}
	}
}
