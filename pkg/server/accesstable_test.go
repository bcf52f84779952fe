package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// tableRoles are those of the table: each role for all services, and (…-orders) for orders alone; stranger has none.
var tableRoles = map[string][]access.Member{
	access.Viewer:   {member("viewer"), member("viewer-orders", "orders")},
	access.Operator: {member("operator"), member("operator-orders", "orders")},
	access.Approver: {member("approver"), member("approver-orders", "orders")},
	access.Admin:    {member("admin"), member("admin-orders", "orders")},
	"lead":          {member("lead")},
}

// classes are who may, of the names in tableRoles.
var classes = map[string]string{
	"known":         "viewer viewer-orders operator operator-orders approver approver-orders admin admin-orders lead stranger",
	"read some":     "viewer viewer-orders operator operator-orders approver approver-orders admin admin-orders lead",
	"read orders":   "viewer viewer-orders operator operator-orders approver approver-orders admin admin-orders lead",
	"read all":      "viewer operator approver admin lead",
	"change orders": "operator operator-orders admin admin-orders",
	"change all":    "operator admin",
	"approve own":   "approver approver-orders admin admin-orders lead",
	"approve all":   "approver admin lead",
	"admin":         "admin",
}

// tableRow is a method with a request for the own service, for another, and for no single one; and who may make them.
type tableRow struct {
	request func(service string) proto.Message // empty: for no single one; nil: there is none of these
	own     string
	other   string
	wide    string
}

// noSuch is a revision that nothing has: a change that is let in goes no further.
var noSuch = &crossfadev1.ChangeOptions{ExpectRevision: 1 << 40, Wait: crossfadev1.Wait_WAIT_NONE, IdempotencyKey: "k"}

func tableDoc(name string) *crossfadev1.Document {
	if name == "" {
		return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: "default"}}}
	}
	return service(name)
}

// reads and changes are the rows that most methods have.
func reads(request func(string) proto.Message) tableRow {
	return tableRow{request, "read orders", "read all", "read some"}
}

func changes(request func(string) proto.Message) tableRow {
	return tableRow{request, "change orders", "change all", "change all"}
}

// accessTable says who may what, apart from the table that the server has.
func accessTable() map[string]tableRow {
	first := func(service string) string { return strings.TrimPrefix(service+"-1", "-") }
	act := func(action string) func(string) proto.Message {
		return func(s string) proto.Message {
			return &crossfadev1.ActOnRolloutRequest{Name: first(s), Action: action, Options: noSuch}
		}
	}
	out := map[string]tableRow{
		"Apply": changes(func(s string) proto.Message {
			return &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{tableDoc(s)}, Options: noSuch}
		}),
		"Diff": reads(func(s string) proto.Message {
			return &crossfadev1.DiffRequest{Documents: []*crossfadev1.Document{tableDoc(s)}}
		}),
		"Get": reads(func(s string) proto.Message {
			if s == "" {
				return &crossfadev1.GetRequest{Kind: "fleet", Name: "default"}
			}
			return &crossfadev1.GetRequest{Kind: "service", Name: s}
		}),
		"List": reads(func(string) proto.Message { return &crossfadev1.ListRequest{} }),
		"Delete": changes(func(s string) proto.Message {
			if s == "" {
				return &crossfadev1.DeleteRequest{Kind: "fleet", Name: "default", Options: noSuch}
			}
			return &crossfadev1.DeleteRequest{Kind: "service", Name: s, Options: noSuch}
		}),
		"SetSplit": changes(func(s string) proto.Message { return &crossfadev1.SetSplitRequest{Service: s, Options: noSuch} }),
		"PutPin":   changes(func(s string) proto.Message { return &crossfadev1.PutPinRequest{Service: s, Options: noSuch} }),
		"DeletePin": changes(func(s string) proto.Message {
			return &crossfadev1.DeletePinRequest{Service: s, Name: "p", Options: noSuch}
		}),
		"SetPrimary": changes(func(s string) proto.Message {
			return &crossfadev1.SetPrimaryRequest{Service: s, Origin: "eks", Options: noSuch}
		}),
		"Rollback": changes(func(s string) proto.Message {
			return &crossfadev1.RollbackRequest{Service: s, All: s == "", Options: noSuch}
		}),
		"Undo":           changes(func(s string) proto.Message { return &crossfadev1.UndoRequest{Service: s, Options: noSuch} }),
		"ListProxies":    reads(func(string) proto.Message { return &crossfadev1.ListProxiesRequest{} }),
		"ListHistory":    reads(func(s string) proto.Message { return &crossfadev1.ListHistoryRequest{Service: s} }),
		"Watch":          reads(func(s string) proto.Message { return &crossfadev1.WatchRequest{Service: s} }),
		"ListEndpoints":  reads(func(s string) proto.Message { return &crossfadev1.ListEndpointsRequest{Service: s} }),
		"WatchEndpoints": reads(func(s string) proto.Message { return &crossfadev1.WatchEndpointsRequest{Service: s} }),
		"ExplainRoute": {func(s string) proto.Message {
			return &crossfadev1.ExplainRouteRequest{Host: s + ".test"}
		}, "read some", "read some", "read some"}, // of what it may not see, nothing is told
		"AcceptEndpoints": changes(func(s string) proto.Message {
			return &crossfadev1.AcceptEndpointsRequest{Service: s, Origin: "eks", Options: noSuch}
		}),
		"StartMirror": changes(func(s string) proto.Message {
			return &crossfadev1.StartMirrorRequest{Mirror: &crossfadev1.Mirror{Name: "new", Service: s}, Options: noSuch}
		}),
		"StopMirror":      changes(func(s string) proto.Message { return &crossfadev1.StopMirrorRequest{Name: first(s), Options: noSuch} }),
		"ListMirrors":     reads(func(s string) proto.Message { return &crossfadev1.ListMirrorsRequest{Service: s} }),
		"GetMirrorReport": {func(s string) proto.Message { return &crossfadev1.GetMirrorReportRequest{Name: first(s)} }, "read orders", "read all", "read all"},
		"WatchMirror":     {func(s string) proto.Message { return &crossfadev1.WatchMirrorRequest{Name: first(s)} }, "read orders", "read all", "read all"},
		"StartRollout": changes(func(s string) proto.Message {
			return &crossfadev1.StartRolloutRequest{Rollout: &crossfadev1.Rollout{Name: "new", Service: s}, Options: noSuch}
		}),
		"ActOnRollout":         changes(act("pause")),
		"ActOnRollout approve": {act("approve"), "approve own", "approve all", "approve all"},
		"ActOnRollout reject":  {act("reject"), "approve own", "approve all", "approve all"},
		"ListRollouts":         reads(func(s string) proto.Message { return &crossfadev1.ListRolloutsRequest{Service: s} }),
		"GetRollout":           {func(s string) proto.Message { return &crossfadev1.GetRolloutRequest{Name: first(s)} }, "read orders", "read all", "read all"},
		"WatchRollout":         {func(s string) proto.Message { return &crossfadev1.WatchRolloutRequest{Name: first(s)} }, "read orders", "read all", "read all"},
		"RunCanary": changes(func(s string) proto.Message {
			return &crossfadev1.RunCanaryRequest{Rollout: &crossfadev1.Rollout{Name: "new", Service: s}, Options: noSuch}
		}),
		"GetServerInfo": reads(func(string) proto.Message { return &crossfadev1.GetServerInfoRequest{} }),
		"CanI":          {func(s string) proto.Message { return &crossfadev1.CanIRequest{Verb: "rollback", Service: s} }, "known", "known", "known"},
	}
	for _, method := range []string{"Apply", "Delete"} { // of a fleet
		row := out[method]
		row.wide = "admin"
		out[method] = row
	}
	for _, method := range []string{"List", "ListProxies", "GetServerInfo"} { // name no service
		row := out[method]
		row.other = "read some"
		out[method] = row
	}
	return out
}

// TestWhoMayWhat makes each call of the API as each role, for its own service, another, and none: by real handshakes.
func TestWhoMayWhat(t *testing.T) {
	c := &named{newController(t)}
	g := startGuarded(t, server.Config{Controller: c}, tableRoles)
	admin, _ := g.as("admin")
	if _, err := admin.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{service("orders"), service("pay")}}); err != nil {
		t.Fatal(err)
	}
	conns := map[string]*grpc.ClientConn{}
	for _, who := range strings.Fields(classes["known"]) {
		_, conns[who] = g.as(who)
	}
	table := accessTable()
	methods := crossfadev1.File_crossfade_v1_api_proto.Services().ByName("CrossfadeService").Methods()
	for i := range methods.Len() {
		if m := methods.Get(i); table[string(m.Name())].request == nil {
			t.Errorf("%s is not in the table of this test", m.Name())
		}
	}
	for name, row := range table {
		short, _, _ := strings.Cut(name, " ")
		m := methods.ByName(protoreflect.Name(short))
		for _, at := range []struct{ service, class string }{{"orders", row.own}, {"pay", row.other}, {"", row.wide}} {
			var may []string
			for _, who := range strings.Fields(classes["known"]) {
				err := invoke(t.Context(), conns[who], m, row.request(at.service))
				if letIn(t, name, who, err) {
					may = append(may, who)
				}
			}
			if got, want := strings.Join(may, " "), classes[at.class]; got != want {
				t.Errorf("%s of %q: may: %s\nwant %s (%s)", name, at.service, got, want, at.class)
			}
		}
	}
}

// letIn says whether an error came from behind the door.
func letIn(t *testing.T, method, who string, err error) bool {
	t.Helper()
	if status.Code(err) == codes.Unavailable || status.Code(err) == codes.Unauthenticated || status.Code(err) == codes.Unknown {
		t.Errorf("%s as %s: %v", method, who, err)
	}
	if status.Code(err) != codes.PermissionDenied {
		return true
	}
	problems, _ := details(t, err)
	if len(problems) == 1 && problems[0].GetCode() == "access_denied" {
		if problems[0].GetValue() != id(who) || problems[0].GetNext() == "" {
			t.Errorf("%s as %s: %v", method, who, problems[0])
		}
		return false
	}
	return true // a gate has refused it
}

// invoke makes a call, of a stream until its first message.
func invoke(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request proto.Message) error {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return err
	}
	full, answer := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), kind.New().Interface()
	if !m.IsStreamingServer() {
		return conn.Invoke(ctx, full, request, answer)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, full)
	if err != nil {
		return err
	}
	if err := s.SendMsg(request); err != nil {
		return err
	}
	_ = s.CloseSend()
	return s.RecvMsg(answer)
}

// named is a real controller that also knows the mirror and the rollout SERVICE-1 of each service.
type named struct{ server.Controller }

func (n *named) Get(kind, name string) (*crossfadev1.Document, *crossfadev1.ServiceStatus, error) {
	service, _, ok := strings.Cut(name, "-1")
	switch {
	case ok && kind == "mirror":
		return &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: &crossfadev1.Mirror{Name: name, Service: service}}}, nil, nil
	case ok && kind == "rollout":
		return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: &crossfadev1.Rollout{Name: name, Service: service}}}, nil, nil
	}
	return n.Controller.Get(kind, name)
}

// TestHealthAndReflection: health is for whoever has a certificate, reflection for whoever has a role.
func TestHealthAndReflection(t *testing.T) {
	g := startGuarded(t, server.Config{Controller: newController(t)}, tableRoles)
	for _, who := range []string{"stranger", "viewer-orders"} {
		_, conn := g.as(who)
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("health as %s: %v", who, err)
		}
		s, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); (status.Code(err) == codes.PermissionDenied) != (who == "stranger") {
			t.Errorf("reflection as %s: %v", who, err)
		}
	}
}

// TestEachServedMethodHasARow: whatever is registered beside the API is in the table as well.
func TestEachServedMethodHasARow(t *testing.T) {
	s := server.New(server.Config{Controller: newController(t)}).GRPC()
	defer s.Stop()
	var found []string
	for name, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			found = append(found, m.Name)
			if full := "/" + name + "/" + m.Name; !access.Listed(full) {
				t.Errorf("%s is served, and no row says what it needs", full)
			}
		}
	}
	if !slices.Contains(found, "Rollback") || !slices.Contains(found, "ServerReflectionInfo") || !slices.Contains(found, "Check") {
		t.Errorf("found only %v", found)
	}
}
