package main

import (
	"fmt"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// limit is one bound of pkg/policy: its name there, what it bounds, and its value in words.
type limit struct{ name, what, value string }

func limits() []limit {
	n := func(v int, unit string) string { return strings.TrimSpace(fmt.Sprint(v) + " " + unit) }
	return []limit{
		{"MaxNameBytes", "a name of a service, fleet, origin or pin", n(policy.MaxNameBytes, "characters")},
		{"MaxFleets", "fleets of a service", n(policy.MaxFleets, "")},
		{"MaxHosts", "hosts of a service", n(policy.MaxHosts, "")},
		{"MaxPathPrefixes", "path prefixes of a service", n(policy.MaxPathPrefixes, "")},
		{"MaxPrefixBytes", "a path prefix", n(policy.MaxPrefixBytes, "bytes")},
		{"MaxOrigins", "origins of a service", n(policy.MaxOrigins, "")},
		{"MaxEndpoints", "endpoints of an origin", n(policy.MaxEndpoints, "")},
		{"MaxPins", "pins of a service", n(policy.MaxPins, "")},
		{"MaxValueBytes", "a name or a value that a pin looks for", n(policy.MaxValueBytes, "bytes")},
		{"MaxRegexBytes", "an expression of a pin", n(policy.MaxRegexBytes, "bytes")},
		{"MaxRegexProgram", "size of an expression once compiled, in instructions of RE2; errors say the size", n(policy.MaxRegexProgram, "")},
		{"MaxStatusRanges", "expected statuses of a health check", n(policy.MaxStatusRanges, "")},
		{"MaxStatusCodes", "status codes of retries", n(policy.MaxStatusCodes, "")},
		{"MaxRetryAttempts", "retries of a request", n(policy.MaxRetryAttempts, "")},
		{"MaxThreshold", "failures or successes in a row, of health checks and outlier detection", n(policy.MaxThreshold, "")},
		{"MaxTrustedHops", "trusted hops", n(policy.MaxTrustedHops, "")},
		{"MaxForeignBytes", "a name in ECS, Cloud Map or Kubernetes, or of a file on a proxy's machine", n(policy.MaxForeignBytes, "bytes")},
		{"MaxResolvers", "DNS servers of an origin", n(policy.MaxResolvers, "")},
		{"MaxDuration", "any duration", n(int(policy.MaxDuration.Hours())/24, "days")},
		{"MinHealthInterval", "time between two health checks, at least", policy.MinHealthInterval.String()},
	}
}

func limitsSection() string {
	var b strings.Builder
	b.WriteString("\n## Limits\n\nFar above ordinary use; each keeps the cost of one service bounded.\n\n| what | at most |\n|---|---|\n")
	for _, l := range limits() {
		fmt.Fprintf(&b, "| %s | %s |\n", l.what, l.value)
	}
	return b.String()
}
