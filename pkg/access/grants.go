package access

import "slices"

// Grants are the roles that one name has. The zero value has none.
type Grants struct {
	Name string
	Held []Held // in the order of roles
}

func (g Grants) any(right Right, means func(services []string) bool) bool {
	switch right {
	case Nothing:
		return false
	case Known:
		return g.Name != ""
	}
	return slices.ContainsFunc(g.Held, func(h Held) bool {
		rights, named := rightsOf[h.Role]
		if !named {
			rights = gateRights
		}
		return slices.Contains(rights, right) && means(h.Services)
	})
}

// May says whether a right is had on a service.
func (g Grants) May(right Right, service string) bool {
	return g.any(right, func(services []string) bool { return len(services) == 0 || matches(services, service) })
}

// MayAll says whether a right is had on every service, those to come too.
func (g Grants) MayAll(right Right) bool {
	return g.any(right, func(services []string) bool { return len(services) == 0 })
}

// MaySome says whether a right is had on some services, whichever they are.
func (g Grants) MaySome(right Right) bool {
	return g.any(right, func([]string) bool { return true })
}

// Roles are the roles that somebody has for a service, for gates of rollouts. Whoever is admin is approver, too.
func (g Grants) Roles(service string) []string {
	var out []string
	for _, h := range g.Held {
		if len(h.Services) > 0 && !matches(h.Services, service) {
			continue
		}
		out = append(out, h.Role)
		if h.Role == Admin {
			out = append(out, Approver)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
