package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Right is what a call needs of its caller. The zero value is had by nobody.
type Right int

// The rights.
const (
	Nothing    Right = iota // whoever forgets to say what a call needs has it refused
	Known                   // a verified name, and no role
	Read                    // look at services
	Change                  // services, mirrors and rollouts
	Approve                 // open gates of rollouts
	Administer              // fleets, and the server itself
)

// The roles that have rights. All others are for gates of rollouts: whoever has one may read, and approve where it is asked for.
const (
	Viewer   = "viewer"
	Operator = "operator"
	Approver = "approver"
	Admin    = "admin"
)

var rightsOf = map[string][]Right{
	Viewer: {Read}, Operator: {Read, Change}, Approver: {Read, Approve}, Admin: {Read, Change, Approve, Administer},
}

var gateRights = []Right{Read, Approve}

// Role is the least role that has a right, empty where none is needed or none would do.
func (r Right) Role() string {
	return map[Right]string{Read: Viewer, Change: Operator, Approve: Approver, Administer: Admin}[r]
}

// Member is who has a role, and for which services.
type Member struct {
	Name     identity.Pattern
	Services []string // names, or prefixes with a star at their end; none: all services
}

// Check says what is wrong with a member; nil: nothing.
func (m Member) Check() error {
	if err := m.Name.Check(); err != nil {
		return err
	}
	if m.Services != nil && len(m.Services) == 0 {
		return errors.New("a list of services names one at least; leave it out to mean all")
	}
	for _, s := range m.Services {
		if err := CheckServices(s); err != nil {
			return err
		}
	}
	return nil
}

// CheckServices says what is wrong with a name of a service, or of several: "orders", "pay-*", "*".
func CheckServices(s string) error {
	begin, star := strings.CutSuffix(s, "*")
	switch {
	case s == "":
		return errors.New("a service has a name")
	case policy.ValidName(s), star && begin == "", star && policy.ValidName(strings.TrimRight(begin, "-")):
		return nil
	}
	return fmt.Errorf("%q is no name of a service, and no beginning of names with a star at its end, as in \"pay-*\"", s)
}

func matches(services []string, service string) bool {
	return slices.ContainsFunc(services, func(s string) bool {
		if begin, ok := strings.CutSuffix(s, "*"); ok {
			return strings.HasPrefix(service, begin)
		}
		return s == service
	})
}

// Rules are who has which role. They do not change; nil are those by which nobody has one.
type Rules struct {
	roles map[string][]Member
	names []string // of the roles, in order
}

// New makes rules of the members of each role, which have passed [Member.Check].
func New(roles map[string][]Member) *Rules {
	r := &Rules{roles: map[string][]Member{}, names: slices.Sorted(maps.Keys(roles))}
	for role, members := range roles {
		for _, m := range members {
			m.Services = slices.Clone(m.Services)
			if slices.Contains(m.Services, "*") {
				m.Services = nil
			}
			r.roles[role] = append(r.roles[role], m)
		}
	}
	return r
}

// Held is a role that somebody has.
type Held struct {
	Role     string
	Services []string // see [Member]; none: all
}

// Of returns what somebody has whose name was verified.
func (r *Rules) Of(name string) Grants {
	if r == nil || name == "" {
		return Grants{Name: name}
	}
	return r.of(name, func(p identity.Pattern) bool { return p.Matches(name) })
}

// OfUnverified returns what somebody has who only says a name: whoever is named with a host (ann@laptop) has what the name has, too.
func (r *Rules) OfUnverified(name string) Grants {
	if r == nil || name == "" {
		return Grants{Name: name}
	}
	person, _, _ := strings.Cut(name, "@")
	return r.of(name, func(p identity.Pattern) bool { return p.Matches(name) || person != "" && p.Matches(person) })
}

func (r *Rules) of(name string, means func(identity.Pattern) bool) Grants {
	g := Grants{Name: name}
	for _, role := range r.names {
		var services []string
		has, all := false, false
		for _, m := range r.roles[role] {
			if means(m.Name) {
				has, all = true, all || len(m.Services) == 0
				services = append(services, m.Services...)
			}
		}
		if all {
			services = nil
		}
		if slices.Sort(services); has {
			g.Held = append(g.Held, Held{Role: role, Services: slices.Compact(services)})
		}
	}
	return g
}

// RolesOf are the roles of somebody for a service, see [Grants.Roles]. Verified says whether a certificate showed the name.
func (r *Rules) RolesOf(name string, verified bool, service string) []string {
	if verified {
		return r.Of(name).Roles(service)
	}
	return r.OfUnverified(name).Roles(service)
}

// Gates are who may open the gates of rollouts of a service: names and patterns by role. Whoever is admin counts as approver, too.
func (r *Rules) Gates(service string) map[string][]string {
	out := map[string][]string{}
	if r == nil {
		return out
	}
	for _, role := range r.names {
		for _, m := range r.roles[role] {
			if len(m.Services) > 0 && !matches(m.Services, service) {
				continue
			}
			out[role] = append(out[role], string(m.Name))
			if role == Admin {
				out[Approver] = append(out[Approver], string(m.Name))
			}
		}
	}
	return out
}
