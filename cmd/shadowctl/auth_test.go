package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
)

// doorman is a server at which ann may change orders, and read all.
func doorman(t *testing.T) *double {
	t.Helper()
	return serve(t, &double{answer: func(_ context.Context, method string, in proto.Message) (proto.Message, error) {
		r, ok := in.(*crossfadev1.CanIRequest)
		if !ok {
			return nil, status.Errorf(codes.Unimplemented, "no answer for %s", method)
		}
		out := &crossfadev1.CanIResponse{Name: "spiffe://example.test/ann", Verified: true, Enforced: true, Roles: []*crossfadev1.RoleOf{{Role: "operator", Services: []string{"orders", "pay-*"}}, {Role: "viewer"}}}
		if r.GetVerb() != "" {
			out.Method, out.Allowed, out.Reason = "Rollback", r.GetService() == "orders", "may not Rollback"
		}
		return out, nil
	}})
}

func TestCanI(t *testing.T) {
	d := doorman(t)
	if r := d.at(t, "auth", "can-i", "rollback", "orders"); r.exit != 0 || !strings.HasPrefix(r.out, "yes: ") || r.err != "" {
		t.Errorf("%+v", r)
	}
	if r := d.at(t, "auth", "can-i", "rollback"); r.exit != 10 || r.out != "no: may not Rollback\n" || r.err != "" {
		t.Errorf("%+v", r)
	}
	if r := d.at(t, "auth", "can-i", "rollback", "pay", "-o", "json"); r.exit != 10 || !strings.Contains(r.out, `"allowed": false`) || !strings.Contains(r.out, `"method": "Rollback"`) {
		t.Errorf("%+v", r)
	}
	if r := d.at(t, "auth", "can-i"); r.exit != 2 || !strings.Contains(r.err, "VERB is missing") {
		t.Errorf("%+v", r)
	}
	var asked []string
	for _, c := range d.asked() {
		r := c.in.(*crossfadev1.CanIRequest)
		asked = append(asked, r.GetVerb()+" "+r.GetService())
	}
	if want := []string{"rollback orders", "rollback ", "rollback pay"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func TestWhoAmI(t *testing.T) {
	d := doorman(t)
	want := "spiffe://example.test/ann, by your certificate\nROLE      SERVICES\noperator  orders, pay-*\nviewer    all\n"
	if r := d.at(t, "auth", "whoami"); r.exit != 0 || r.out != want {
		t.Errorf("%+v", r)
	}
	if r := d.at(t, "auth", "whoami", "-o", "json"); r.exit != 0 || !strings.Contains(r.out, `"name": "spiffe://example.test/ann"`) || strings.Contains(r.out, "allowed") {
		t.Errorf("%+v", r)
	}
	d = serve(t, &double{answer: canned(map[string]proto.Message{"CanI": &crossfadev1.CanIResponse{}})})
	if r := d.at(t, "auth", "whoami"); r.exit != 0 || !strings.HasPrefix(r.out, "alice@") || !strings.Contains(r.out, "no certificate shows it") || !strings.Contains(r.err, "no TLS") {
		t.Errorf("%+v", r)
	}
	d = serve(t, &double{answer: canned(map[string]proto.Message{"CanI": &crossfadev1.CanIResponse{Name: "x", Verified: true, Enforced: true}})})
	if r := d.at(t, "auth", "whoami"); r.exit != 0 || !strings.Contains(r.err, "You have no role") {
		t.Errorf("%+v", r)
	}
}

// TestCompletionOffersWhatTheServerKnows: each word is one of the server's.
func TestVerbsAreTheServers(t *testing.T) {
	for _, v := range authVerbs {
		if !slices.Contains(access.Verbs(), v) {
			t.Errorf("the server does not know %s", v)
		}
	}
	d := doorman(t)
	if r := d.at(t, "__complete", "auth", "can-i", "roll"); !strings.Contains(r.out, "rollback\n") || !strings.Contains(r.out, "rollout\n") {
		t.Errorf("%+v", r)
	}
}

func TestRefusedAttemptsInTheHistory(t *testing.T) {
	denied := &crossfadev1.Revision{
		Time: timestamppb.New(now.Add(-time.Hour)), Who: "spiffe://example.test/ci", Verified: true, Action: "denied", Service: "orders", Kind: "Service",
		Denied: &crossfadev1.Denied{Method: "Rollback", Role: "operator", Count: 3, Last: timestamppb.New(now.Add(-time.Minute))},
	}
	d := serve(t, &double{answer: canned(map[string]proto.Message{"ListHistory": &crossfadev1.ListHistoryResponse{Items: []*crossfadev1.Revision{denied}}})})
	r := d.at(t, "history", "orders")
	for _, want := range []string{"-    2026-03-01 02:00:00  spiffe://example.test/ci  orders   denied", "Rollback, which needs role operator (3 times until 02:59:00)"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "deleted") || strings.Contains(r.out, "*") {
		t.Errorf("got\n%s", r.out)
	}
	if r := d.at(t, "history", "-o", "json"); !strings.Contains(r.out, `"count": 3`) || !strings.Contains(r.out, `"action": "denied"`) {
		t.Errorf("got\n%s", r.out)
	}
}
