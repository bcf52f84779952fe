package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/access"
)

func TestTheSectionRoles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, `
dev: true
data-dir: d
roles:
  viewer: ["spiffe://example.test/people/*"]
  operator:
  - {name: spiffe://example.test/ci/orders, services: [orders, "pay-*"]}
  - {name: ann}
  approver: [ann, "bob@desk"]
  lead: [cleo]
`)
	c, err := parse([]string{"--config", file}, in(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := roles{
		"viewer":   {{Name: "spiffe://example.test/people/*"}},
		"operator": {{Name: "spiffe://example.test/ci/orders", Services: []string{"orders", "pay-*"}}, {Name: "ann"}},
		"approver": {{Name: "ann"}, {Name: "bob@desk"}},
		"lead":     {{Name: "cleo"}},
	}
	if !reflect.DeepEqual(c.roles, want) {
		t.Errorf("got %+v, want %+v", c.roles, want)
	}
	if c.access(newLog("text", t.Output())) != nil {
		t.Error("without TLS somebody is asked for a role")
	}
	live := newLiveRoles(c.roles)
	if got := live.rolesOf("ann@laptop", false, "orders"); !reflect.DeepEqual(got, []string{"approver", "operator"}) {
		t.Errorf("ann has %v", got)
	}
	if got := live.gates("orders")["approver"]; !reflect.DeepEqual(got, []string{"ann", "bob@desk"}) {
		t.Errorf("gates: %v", got)
	}
}

func TestMistakesInTheSectionRolesHaveTheirLine(t *testing.T) {
	for _, c := range []struct {
		name, text string
		wants      []string
	}{
		{"no roles", "roles: on\n", []string{":3:8: roles", "ROLE: [NAME, …]"}},
		{"name of a role", "roles: {Approver: [ann]}\n", []string{"roles", "Approver", "lower-case"}},
		{"role twice", "roles: {a: [ann], a: [bob]}\n", []string{"is there twice"}},
		{"nobody", "roles: {a: []}\n", []string{"roles.a", "opens no gate"}},
		{"somebody twice", "roles: {a: [ann, ann]}\n", []string{":3:18: roles.a[1]", "is there twice"}},
		{"somebody twice with services", "roles: {a: [ann, {name: ann, services: [x]}]}\n", []string{"roles.a[1]", "one list"}},
		{"no name", "roles: {a: [ann, \"\"]}\n", []string{"roles.a[1]", "1 to 2048 bytes"}},
		{"a name of two words", "roles: {a: [ann bob]}\n", []string{"roles.a[0]", "without spaces"}},
		{"a star for everybody", "roles: {a: [\"*\"]}\n", []string{"roles.a[0]", "a star stands for all names below"}},
		{"a star in the middle", "roles: {a: [\"spiffe://*/ci\"]}\n", []string{"roles.a[0]", "a star stands for all names below"}},
		{"a list in a list", "roles: {a: [[ann]]}\n", []string{"roles.a[0]", "{name: NAME, services: [SERVICE, …]}"}},
		{"another name by reference", "roles: {a: [&x ann], b: [*x]}\n", []string{"roles.b[0]", "must be a name"}},
		{"services without a name", "roles: {a: [{services: [orders]}]}\n", []string{"roles.a[0]", "1 to 2048 bytes"}},
		{"no services", "roles: {a: [{name: ann, services: []}]}\n", []string{"roles.a[0].services", "leave the list out"}},
		{"services are a text", "roles: {a: [{name: ann, services: orders}]}\n", []string{"roles.a[0].services", "must be a list"}},
		{"a bad service", "roles: {a: [{name: ann, services: [orders, \"*-pay\"]}]}\n", []string{"roles.a[0].services[1]", "*-pay", "for example orders"}},
		{"unknown", "roles: {a: [{name: ann, service: [orders]}]}\n", []string{"service", "did you mean services?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.yaml")
			write(t, file, "dev: true\ndata-dir: d\n"+c.text)
			_, err := parse([]string{"--config", file}, in(nil))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %s", want, err)
				}
			}
		})
	}
}

// FuzzRoleSection: whatever the section says, it is refused, or its members pass the checks of package access.
func FuzzRoleSection(f *testing.F) {
	f.Add("{a: [ann, {name: \"spiffe://e.test/*\", services: [\"pay-*\"]}]}")
	f.Add("{a: [&x [], *x]}")
	f.Add("{admin: [\"*.ops.test\"], viewer: [{name: ann, services: []}]}")
	f.Fuzz(func(t *testing.T, text string) {
		c := &config{}
		r := fileReader{flags: flags(c), path: "settings.yaml", seen: map[string]int{}, roles: &c.roles}
		root, err := r.root([]byte("roles: " + text))
		if err != nil || root == nil {
			return
		}
		for i := 0; i < len(root.Content); i += 2 {
			if root.Content[i].Value == "roles" {
				r.roleSection(root.Content[i+1])
			}
		}
		if len(r.found) > 0 {
			return
		}
		for role, members := range c.roles {
			for _, m := range members {
				if err := m.Check(); err != nil || len(members) == 0 {
					t.Errorf("%s: %+v: %v", role, m, err)
				}
			}
		}
		_ = access.New(c.roles).Of("ann")
	})
}
