package access

import (
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/identity"
)

func TestWhatRolesGive(t *testing.T) {
	rules := New(map[string][]Member{
		Viewer:   {{Name: "spiffe://e.test/people/*"}},
		Operator: {{Name: "spiffe://e.test/ci/orders", Services: []string{"orders", "pay-*"}}, {Name: "spiffe://e.test/ci/*", Services: []string{"search"}}},
		Approver: {{Name: "spiffe://e.test/people/ann", Services: []string{"orders"}}},
		Admin:    {{Name: "*.ops.test"}},
		"lead":   {{Name: "cleo"}},
	})
	rights := map[Right]string{Known: "known", Read: "read", Change: "change", Approve: "approve", Administer: "administer"}
	for _, c := range []struct{ who, service, want string }{
		{"spiffe://e.test/people/ann", "orders", "known read approve"},
		{"spiffe://e.test/people/ann", "pay-card", "known read"},
		{"spiffe://e.test/ci/orders", "orders", "known read change"},
		{"spiffe://e.test/ci/orders", "pay-card", "known read change"},
		{"spiffe://e.test/ci/orders", "pay", "known"},
		{"spiffe://e.test/ci/orders", "orders2", "known"},
		{"spiffe://e.test/ci/orders", "search", "known read change"},
		{"spiffe://e.test/ci/else", "orders", "known"},
		{"spiffe://e.test/ci/else", "search", "known read change"},
		{"a.ops.test", "orders", "known read change approve administer"},
		{"ops.test", "orders", "known"},
		{"cleo", "orders", "known read approve"},
		{"cleo@e.test", "orders", "known"},
		{"spiffe://e.test/people", "orders", "known"},
		{"", "orders", ""},
	} {
		g := rules.Of(c.who)
		var got []string
		for _, r := range []Right{Nothing, Known, Read, Change, Approve, Administer} {
			if g.May(r, c.service) {
				got = append(got, rights[r])
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s on %s: %v, want %s", c.who, c.service, got, c.want)
		}
	}
	want := []Held{{Role: Operator, Services: []string{"orders", "pay-*", "search"}}}
	if got := rules.Of("spiffe://e.test/ci/orders").Held; !reflect.DeepEqual(got, want) {
		t.Errorf("roles: %+v", got)
	}
	if (*Rules)(nil).Of("root").MaySome(Read) || New(nil).Of("root").MaySome(Read) {
		t.Error("without rules somebody may something")
	}
}

// TestAllServicesBesideSome: who has a role for all services has it for all, whatever else is written.
func TestAllServicesBesideSome(t *testing.T) {
	for name, members := range map[string][]Member{
		"two entries": {{Name: "spiffe://e.test/*", Services: []string{"orders"}}, {Name: "spiffe://e.test/ci"}},
		"a star":      {{Name: "spiffe://e.test/ci", Services: []string{"orders", "*"}}},
	} {
		if g := New(map[string][]Member{Operator: members}).Of("spiffe://e.test/ci"); !g.MayAll(Change) || g.Held[0].Services != nil {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestGatesOfRollouts(t *testing.T) {
	rules := New(map[string][]Member{
		Approver: {{Name: "ann", Services: []string{"orders"}}, {Name: "bob"}}, Admin: {{Name: "root"}}, "lead": {{Name: "cleo"}}, Operator: {{Name: "dan"}},
	})
	want := map[string][]string{Approver: {"root", "ann", "bob"}, Admin: {"root"}, "lead": {"cleo"}, Operator: {"dan"}}
	if got := rules.Gates("orders"); !reflect.DeepEqual(got, want) {
		t.Errorf("gates of orders: %v", got)
	}
	want[Approver] = []string{"root", "bob"}
	if got := rules.Gates("pay"); !reflect.DeepEqual(got, want) {
		t.Errorf("gates of pay: %v", got)
	}
	for _, c := range []struct {
		who      string
		verified bool
		service  string
		want     string
	}{
		{"ann", true, "orders", "approver"},
		{"ann", true, "pay", ""},
		{"ann@laptop", false, "orders", "approver"},
		{"ann@laptop", true, "orders", ""},
		{"root", true, "pay", "admin approver"},
		{"cleo", true, "pay", "lead"},
		{"@", false, "pay", ""},
	} {
		if got := strings.Join(rules.RolesOf(c.who, c.verified, c.service), " "); got != c.want {
			t.Errorf("%s (verified: %t) on %s: %q, want %q", c.who, c.verified, c.service, got, c.want)
		}
	}
}

func TestNamesOfServices(t *testing.T) {
	for _, good := range []string{"orders", "pay-*", "pay*", "*", "a"} {
		if err := CheckServices(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "Orders", "*pay", "pa*y", "pay-", "**", "-*", "a b", "a/*", strings.Repeat("a", 64)} {
		if CheckServices(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, m := range []Member{{Name: "a b"}, {Name: ""}, {Name: "ann", Services: []string{}}, {Name: "ann", Services: []string{"A"}}} {
		if m.Check() == nil {
			t.Errorf("%+v is taken", m)
		}
	}
}

// FuzzRules: no text among the rules gives more than it says.
func FuzzRules(f *testing.F) {
	f.Add("spiffe://e.test/ci/*", "pay-*", "spiffe://e.test/ci/x", "pay-card")
	f.Add("*.proxies.test", "orders", "a.proxies.test", "orders")
	f.Add("*", "*", "", "")
	f.Fuzz(func(t *testing.T, pattern, services, who, service string) {
		m := Member{Name: identity.Pattern(pattern), Services: []string{services}}
		if m.Check() != nil {
			return
		}
		g := New(map[string][]Member{Operator: {m}}).Of(who)
		plain := !strings.Contains(pattern, "*") && !strings.Contains(services, "*")
		switch {
		case g.May(Administer, service), g.May(Approve, service), g.May(Nothing, service):
			t.Errorf("%q for %q gives %q more than an operator has", pattern, services, who)
		case g.May(Change, service) && plain && (who != pattern || service != services):
			t.Errorf("%q for %q lets %q change %q", pattern, services, who, service)
		case g.May(Change, service) && who == "":
			t.Error("nobody may")
		case g.MayAll(Change) && services != "*":
			t.Errorf("%q is all services", services)
		case g.May(Change, service) && !strings.HasPrefix(service, strings.TrimSuffix(services, "*")):
			t.Errorf("%q means %q", services, service)
		}
	})
}
