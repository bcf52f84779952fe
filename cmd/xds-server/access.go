package main

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of the section roles.
const (
	maxRoles          = 64
	maxMembers        = 1000 // of a role
	maxMemberServices = 1000
)

// roles are who has which role: the members by role, as the section says.
type roles map[string][]access.Member

// liveRoles are the rules by which calls are let in and gates are opened now.
type liveRoles struct{ rules atomic.Pointer[access.Rules] }

func newLiveRoles(r roles) *liveRoles {
	l := &liveRoles{}
	l.rules.Store(access.New(r))
	return l
}

// rolesOf and gates are what rollouts ask, see [engine.Config] and [control.RolloutRules].
func (l *liveRoles) rolesOf(who string, verified bool, service string) []string {
	return l.rules.Load().RolesOf(who, verified, service)
}

func (l *liveRoles) gates(service string) map[string][]string { return l.rules.Load().Gates(service) }

// access are the rules by which callers are let in; nil: without TLS nobody is asked.
func (c *config) access(log *slog.Logger) *access.Rules {
	if c.dev {
		return nil
	}
	if len(c.roles) == 0 {
		log.Warn("the settings have no section roles: nobody is let in by the API; see docs/access.md")
	}
	return access.New(c.roles)
}

// setRoles puts the section of a settings file that was read anew in the place of the one before: calls in flight go on by the old rules, watches end
// whose caller has lost the right.
func (p *parts) setRoles(r roles) {
	rules := access.New(r)
	p.roles.rules.Store(rules)
	if p.api.Enforces() {
		p.api.SetAccess(rules)
	}
}

func (r *fileReader) roleSection(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.add(n, invalid("bad_setting", "roles", n.Value, "must be ROLE: [NAME, …]", "for example approver: [ann, bob]"))
		return
	}
	out := roles{}
	for i := 0; i < len(n.Content); i += 2 {
		key, members := n.Content[i], n.Content[i+1]
		switch {
		case !policy.ValidName(key.Value):
			r.add(key, invalid("bad_setting", "roles", key.Value, "a role is named by lower-case letters, digits and dashes", ""))
		case out[key.Value] != nil:
			r.add(key, invalid("duplicate_key", "roles", key.Value, "is there twice", ""))
		case len(out) == maxRoles:
			r.add(key, invalid("bad_setting", "roles", key.Value, fmt.Sprintf("there are more than %d roles", maxRoles), ""))
			return
		default:
			out[key.Value] = r.members(members, "roles."+key.Value)
		}
	}
	*r.roles = out
}

// members reads who has a role.
func (r *fileReader) members(n *yaml.Node, field string) []access.Member {
	members, seen := []access.Member{}, map[identity.Pattern]bool{}
	r.list(n, field, "names", maxMembers, func(item *yaml.Node, field string) {
		m, ok := r.member(item, field)
		switch {
		case !ok:
		case seen[m.Name]:
			r.add(item, invalid("duplicate_key", field, string(m.Name), "is there twice", "write its services in one list"))
		default:
			seen[m.Name] = true
			members = append(members, m)
		}
	})
	if len(members) == 0 {
		r.add(n, invalid("bad_setting", field, "", "a role that nobody has opens no gate", "name somebody, or leave the role out"))
	}
	return members
}

// member reads NAME or {name: NAME, services: [SERVICE, …]}.
func (r *fileReader) member(n *yaml.Node, field string) (access.Member, bool) {
	before := len(r.found)
	var name string
	m := access.Member{}
	if n.Kind == yaml.MappingNode {
		r.group(n, field, map[string]setting{
			"name":     r.text(field+".name", &name),
			"services": func(n *yaml.Node) { m.Services = r.memberServices(n, field+".services") },
		})
	} else {
		name = n.Value
	}
	m.Name = identity.Pattern(name)
	if len(r.found) > before {
		return m, false
	}
	if n.Kind != yaml.MappingNode && n.Kind != yaml.ScalarNode {
		r.add(n, invalid("bad_setting", field, "", "must be a name, or {name: NAME, services: [SERVICE, …]}", ""))
		return m, false
	}
	if err := m.Name.Check(); err != nil {
		r.add(n, invalid("bad_setting", field, name, err.Error(), "write the name in a certificate, as `shadowctl auth whoami` shows it; without TLS a user, or USER@HOST, as the history shows it"))
		return m, false
	}
	return m, true
}

func (r *fileReader) memberServices(n *yaml.Node, field string) []string {
	services := []string{}
	r.list(n, field, "services", maxMemberServices, func(item *yaml.Node, field string) {
		if err := access.CheckServices(item.Value); err != nil || item.Kind != yaml.ScalarNode {
			r.add(item, invalid("bad_setting", field, item.Value, "must be the name of a service, or the beginning of names with a star", "for example orders, or \"pay-*\""))
			return
		}
		services = append(services, item.Value)
	})
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.add(n, invalid("bad_setting", field, "", "a member of no service may nothing", "name services, or leave the list out to mean all"))
	}
	return services
}
