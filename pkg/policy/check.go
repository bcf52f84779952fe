package policy

import (
	"fmt"
)

// claim is what only one service of a fleet can have: a path below a host on a listener.
type claim struct {
	fleet  string
	port   int
	host   string
	prefix string
}

// CheckServices holds services against each other: names are unique, and so is, in each fleet, listener port + host + path prefix.
// Each error names both services; its Document is the index of the later one, and there is one for each route, whatever the number of
// fleets in which it is taken. The cost is linear in the number of claims.
func CheckServices(services []*Service) Errors {
	var found Errors
	names := make(map[string]int, len(services))
	claims := make(map[claim]int, len(services))
	for i, s := range services {
		if s == nil {
			continue
		}
		if _, taken := names[s.Name]; taken {
			found = append(found, &Error{
				Kind: Invalid, Code: "name_duplicate", Field: "name", Value: s.Name, Document: i,
				Message: fmt.Sprintf("two services are named %q", s.Name), Next: "give each service a name of its own",
			})
			continue
		}
		names[s.Name] = i
		for _, host := range s.Hosts {
			for _, prefix := range s.PathPrefixes {
				if c, holder := take(claims, services, i, host, prefix); holder != nil {
					found = append(found, claimTaken(c, i, s, holder))
				}
			}
		}
	}
	return found
}

// take claims a route in every fleet of a service. It returns the first claim that another one has, and that one.
func take(claims map[claim]int, services []*Service, i int, host, prefix string) (first claim, holder *Service) {
	for _, fleet := range services[i].Fleets {
		c := claim{fleet, services[i].Port, host, prefix}
		j, taken := claims[c]
		switch {
		case !taken:
			claims[c] = i
		case holder == nil && j != i:
			first, holder = c, services[j]
		}
	}
	return first, holder
}

func claimTaken(c claim, index int, s, holder *Service) *Error {
	return &Error{
		Kind: Invalid, Code: "route_taken", Field: "hosts", Value: c.host, Document: index,
		Message: fmt.Sprintf("services %q and %q both want host %q with path prefix %q on port %d of fleet %q", holder.Name, s.Name, c.host, c.prefix, c.port, c.fleet),
		Next:    "give one of them another host, path prefix, listener port or fleet",
	}
}
