package policy

import (
	"slices"
	"strings"
)

// TakesFrom says whether a service gets requests that would go to another one without it: for a host that is below a wildcard of the other, whatever
// the path, since the better name alone counts; or for a longer path prefix of the same host.
func (s *Service) TakesFrom(other *Service) bool {
	if s.Name == other.Name || s.Port != other.Port || !slices.ContainsFunc(s.Fleets, func(fleet string) bool { return slices.Contains(other.Fleets, fleet) }) {
		return false
	}
	for _, host := range s.Hosts {
		for _, of := range other.Hosts {
			if host != of && coversHost(of, host) || host == of && s.below(other.PathPrefixes) {
				return true
			}
		}
	}
	return false
}

// coversHost says whether requests for a host would go to a name if there were no better one.
func coversHost(name, host string) bool {
	suffix, wildcard := strings.CutPrefix(name, "*")
	return wildcard && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// below says whether a path prefix of the service is under one of these.
func (s *Service) below(prefixes []string) bool {
	return slices.ContainsFunc(s.PathPrefixes, func(mine string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return under(mine, prefix) })
	})
}
