package access

import (
	"strings"
	"testing"
)

// TestCanIAgreesWithDecide: what can-i says of a word is what a call would get.
func TestCanI(t *testing.T) {
	rules := New(map[string][]Member{
		Viewer: {{Name: "view"}}, Operator: {{Name: "ci", Services: []string{"orders"}}}, Approver: {{Name: "appr"}}, Admin: {{Name: "root"}},
	})
	for _, c := range []struct{ verb, service, method, want string }{
		{"rollback", "orders", "Rollback", "ci root"},
		{"ROLLBACK", "pay", "Rollback", "root"},
		{"rollback", "", "Rollback", "root"},
		{"split", "orders", "SetSplit", "ci root"},
		{"SetSplit", "orders", "SetSplit", "ci root"},
		{"approve", "orders", "ActOnRollout", "appr root"},
		{"pause", "orders", "ActOnRollout", "ci root"},
		{"get", "orders", "Get", "view ci appr root"},
		{"get", "pay", "Get", "view appr root"},
		{"list", "", "List", "view ci appr root"},
		{"history", "", "ListHistory", "view ci appr root"},
		{"history", "pay", "ListHistory", "view appr root"},
		{"apply", "orders", "Apply", "ci root"},
		{"apply-fleet", "", "Apply", "root"},
		{"apply-fleet", "orders", "Apply", "root"},
		{"delete-fleet", "", "Delete", "root"},
		{"CanI", "", "CanI", "view ci appr root nobody"},
	} {
		var may []string
		for _, who := range []string{"view", "ci", "appr", "root", "nobody"} {
			method, refused, known := CanI(rules.Of(who), c.verb, c.service)
			if !known || method != c.method {
				t.Errorf("%s means %q", c.verb, method)
			}
			if refused == nil {
				may = append(may, who)
			}
		}
		if got := strings.Join(may, " "); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.verb, c.service, got, c.want)
		}
	}
	if _, _, known := CanI(rules.Of("root"), "fly", ""); known {
		t.Error("fly is known")
	}
	for _, v := range Verbs() {
		if _, _, known := CanI(rules.Of("root"), v, "orders"); !known {
			t.Errorf("%s is not known", v)
		}
		if _, refused, _ := CanI(rules.Of("root"), v, "orders"); refused != nil {
			t.Errorf("root may not %s: %v", v, refused.Err())
		}
		if _, refused, _ := CanI(rules.Of(""), v, "orders"); refused == nil {
			t.Errorf("nobody may %s", v)
		}
	}
}
