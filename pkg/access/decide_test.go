package access

import (
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func serviceDoc(name string) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{Name: name}}}
}

func mirrorDoc(name, service string) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: &crossfadev1.Mirror{Name: name, Service: service}}}
}

func rolloutDoc(name, service string) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: &crossfadev1.Rollout{Name: name, Service: service}}}
}

func fleetDoc(name string) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{Name: name}}}
}

// TestWhatARequestConcerns: who may change orders alone gets no further by what else is in a request.
func TestWhatARequestConcerns(t *testing.T) {
	rules := New(map[string][]Member{
		Operator: {{Name: "ci", Services: []string{"orders"}}, {Name: "all"}},
		Admin:    {{Name: "half", Services: []string{"orders"}}, {Name: "root"}},
	})
	apply := func(docs ...*crossfadev1.Document) any { return &crossfadev1.ApplyRequest{Documents: docs} }
	for name, c := range map[string]struct {
		method  string
		request any
		want    string // who may, of ci, all, half and root
	}{
		"own service":                         {"Apply", apply(serviceDoc("orders")), "ci all half root"},
		"nothing":                             {"Apply", apply(), "ci all half root"},
		"another service":                     {"Apply", apply(serviceDoc("pay")), "all root"},
		"another beside the own":              {"Apply", apply(serviceDoc("orders"), serviceDoc("pay")), "all root"},
		"a fleet":                             {"Apply", apply(fleetDoc("default")), "root"},
		"a fleet beside the own":              {"Apply", apply(serviceDoc("orders"), fleetDoc("default")), "root"},
		"the default fleet":                   {"Apply", apply(fleetDoc("")), "root"},
		"a mirror":                            {"Apply", apply(mirrorDoc("new", "orders")), "ci all half root"},
		"a mirror of another":                 {"Apply", apply(mirrorDoc("new", "pay")), "all root"},
		"a mirror in place of another's":      {"Apply", apply(mirrorDoc("pay-1", "orders")), "all root"},
		"a mirror of no service":              {"Apply", apply(mirrorDoc("new", "")), "all root"},
		"a rollout":                           {"Apply", apply(rolloutDoc("new", "orders")), "ci all half root"},
		"a rollout in place of another's":     {"Apply", apply(rolloutDoc("pay-1", "orders")), "all root"},
		"a document that is empty":            {"Apply", apply(&crossfadev1.Document{}), "all root"},
		"a service without a name":            {"Apply", apply(serviceDoc("")), "all root"},
		"delete the own":                      {"Delete", &crossfadev1.DeleteRequest{Kind: "service", Name: "orders"}, "ci all half root"},
		"delete a fleet":                      {"Delete", &crossfadev1.DeleteRequest{Kind: "fleet", Name: "default"}, "root"},
		"delete another's mirror":             {"Delete", &crossfadev1.DeleteRequest{Kind: "mirror", Name: "pay-1"}, "all root"},
		"delete what is not there":            {"Delete", &crossfadev1.DeleteRequest{Kind: "rollout", Name: "gone"}, "all root"},
		"delete of no kind":                   {"Delete", &crossfadev1.DeleteRequest{Kind: "Service", Name: "orders"}, "all root"},
		"roll back":                           {"Rollback", &crossfadev1.RollbackRequest{Service: "orders"}, "ci all half root"},
		"roll back all":                       {"Rollback", &crossfadev1.RollbackRequest{All: true}, "all root"},
		"roll back all under a name":          {"Rollback", &crossfadev1.RollbackRequest{All: true, Service: "orders"}, "all root"},
		"roll back nothing":                   {"Rollback", &crossfadev1.RollbackRequest{}, "all root"},
		"split of no service":                 {"SetSplit", &crossfadev1.SetSplitRequest{}, "all root"},
		"mirror by name":                      {"StartMirror", &crossfadev1.StartMirrorRequest{Name: "orders-1"}, "ci all half root"},
		"another's mirror by name":            {"StartMirror", &crossfadev1.StartMirrorRequest{Name: "pay-1"}, "all root"},
		"own mirror and another's name":       {"StartMirror", &crossfadev1.StartMirrorRequest{Name: "pay-1", Mirror: &crossfadev1.Mirror{Service: "orders"}}, "all root"},
		"own rollout and another's name":      {"StartRollout", &crossfadev1.StartRolloutRequest{Name: "pay-1", Rollout: &crossfadev1.Rollout{Service: "orders"}}, "all root"},
		"canary":                              {"RunCanary", &crossfadev1.RunCanaryRequest{Rollout: &crossfadev1.Rollout{Name: "x", Service: "orders"}}, "ci all half root"},
		"canary in place of another's":        {"RunCanary", &crossfadev1.RunCanaryRequest{Rollout: &crossfadev1.Rollout{Name: "pay-1", Service: "orders"}}, "all root"},
		"canary of nothing":                   {"RunCanary", &crossfadev1.RunCanaryRequest{}, "all root"},
		"pause":                               {"ActOnRollout", &crossfadev1.ActOnRolloutRequest{Name: "orders-1", Action: "pause"}, "ci all half root"},
		"approve":                             {"ActOnRollout", &crossfadev1.ActOnRolloutRequest{Name: "orders-1", Action: "approve"}, "half root"},
		"what the server will not understand": {"ActOnRollout", &crossfadev1.ActOnRolloutRequest{Name: "orders-1", Action: "Approve"}, "ci all half root"},
		"read the own":                        {"Get", &crossfadev1.GetRequest{Kind: "service", Name: "orders"}, "ci all half root"},
		"read another":                        {"Get", &crossfadev1.GetRequest{Kind: "service", Name: "pay"}, "all root"},
		"read a fleet":                        {"Get", &crossfadev1.GetRequest{Kind: "fleet", Name: "default"}, "ci all half root"},
		"history of another":                  {"ListHistory", &crossfadev1.ListHistoryRequest{Service: "pay"}, "all root"},
		"history of all":                      {"ListHistory", &crossfadev1.ListHistoryRequest{}, "ci all half root"},
	} {
		var got []string
		for _, who := range []string{"ci", "all", "half", "root"} {
			if Decide(rules.Of(who), api+c.method, c.request, world{}) == nil {
				got = append(got, who)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: may: %v, want %s", name, got, c.want)
		}
		if Decide(rules.Of("stranger"), api+c.method, c.request, world{}) == nil || Decide(rules.Of(""), api+c.method, c.request, world{}) == nil {
			t.Errorf("%s: strangers may", name)
		}
	}
}

// TestARefusalNamesTheDocument that is not for the caller.
func TestARefusalNamesTheDocument(t *testing.T) {
	g := New(map[string][]Member{Operator: {{Name: "ci", Services: []string{"orders"}}}}).Of("ci")
	docs := []*crossfadev1.Document{serviceDoc("orders"), mirrorDoc("m", "orders"), fleetDoc("edge")}
	if r := Decide(g, api+"Apply", &crossfadev1.ApplyRequest{Documents: docs}, world{}); r == nil || r.Err().Document != 2 || r.What != "fleet edge" {
		t.Errorf("got %+v", r)
	}
}

func TestTheWordsOfARefusal(t *testing.T) {
	rules := New(map[string][]Member{Viewer: {{Name: "ann"}}})
	for _, c := range []struct {
		who, method string
		request     any
		want        string
	}{
		{"ann", "Rollback", &crossfadev1.RollbackRequest{Service: "orders"}, `"ann": may not Rollback on service orders: that needs role operator or admin for it; ask who runs the server`},
		{"ann", "Rollback", &crossfadev1.RollbackRequest{All: true}, `"ann": may not Rollback on every service: that needs role operator or admin, for all services; `},
		{"ann", "Apply", &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{fleetDoc("edge")}}, `may not Apply on fleet edge: that needs role admin, for all services; `},
		{"ann", "ActOnRollout", &crossfadev1.ActOnRolloutRequest{Name: "orders-1", Action: "approve"}, `may not ActOnRollout on rollout orders-1: that needs role approver or admin for its service; `},
		{"bob", "List", &crossfadev1.ListRequest{}, `"bob": may not List: that needs role viewer, or any other; `},
		{"bob", "Nonsense", nil, `"bob": may not Nonsense: the server has no rule for this method; `},
		{"", "List", nil, `no verified certificate says who calls; give shadowctl a certificate`},
	} {
		r := Decide(rules.Of(c.who), api+c.method, c.request, world{})
		if r == nil {
			t.Errorf("%s: let in", c.want)
			continue
		}
		if got := r.Err().Error(); !strings.Contains(got, c.want) || r.Err().Code != CodeDenied {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
