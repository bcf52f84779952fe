package main

import (
	"fmt"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// limit is one bound of pkg/policy: its name there (empty: of pkg/policy/rollout), what it bounds, and its value in words.
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
		{"MaxOtherOrigin", "tries at the other origin that a proxy has under way", n(policy.MaxOtherOrigin, "")},
		{"MaxThreshold", "failures or successes in a row, of health checks and outlier detection", n(policy.MaxThreshold, "")},
		{"MaxTrustedHops", "trusted hops", n(policy.MaxTrustedHops, "")},
		{"MaxForeignBytes", "a name in ECS, Cloud Map or Kubernetes, or of a file on a proxy's machine", n(policy.MaxForeignBytes, "bytes")},
		{"MaxResolvers", "DNS servers of an origin", n(policy.MaxResolvers, "")},
		{"MaxListeners", "ports of a fleet that are served by TLS", n(policy.MaxListeners, "")},
		{"MaxCertificates", "certificates of a port", n(policy.MaxCertificates, "")},
		{"MaxMirrorHeaders", "conditions on headers of an experiment, and headers that it keeps", n(policy.MaxMirrorHeaders, "")},
		{"MaxMirrorGRPCMethods", "gRPC methods of an experiment", n(policy.MaxMirrorGRPCMethods, "")},
		{"MaxMirrorPaths", "paths that an experiment allows, and paths that it excludes", n(policy.MaxMirrorPaths, "")},
		{"MaxMirrorRules", "rules of an experiment", n(policy.MaxMirrorRules, "")},
		{"MaxMirrorEndpoints", "templates of paths of an experiment", n(policy.MaxMirrorEndpoints, "")},
		{"MaxMirrorCompare", "headers of answers that are named to be compared", n(policy.MaxMirrorCompare, "")},
		{"MaxMirrorValues", "places whose values may be shown", n(policy.MaxMirrorValues, "")},
		{"MaxMirrorPlaceBytes", "a template of a path, a place in answers, or a part of a rule", n(policy.MaxMirrorPlaceBytes, "bytes")},
		{"MaxMirrorRPS", "`maxRps` of an experiment", n(policy.MaxMirrorRPS, "")},
		{"MaxMirrorPairs", "`minPairs` of an experiment", n(policy.MaxMirrorPairs, "")},
		{"MaxMirrorErrors", "errors and refusals that end an experiment", n(policy.MaxMirrorErrors, "")},
		{"MaxMirrorDescriptors", "descriptors of an experiment", n(policy.MaxMirrorDescriptors>>20, "MiB")},
		{"MinMirrorBodyCap", "`bodyCap` of an experiment, at least", policy.FormatSize(policy.MinMirrorBodyCap)},
		{"MaxMirrorBodyCap", "`bodyCap` of an experiment", policy.FormatSize(policy.MaxMirrorBodyCap)},
		{"MaxMirrorDuration", "duration of an experiment", n(int(policy.MaxMirrorDuration.Hours())/24, "days")},
		{"MinMirrorDuration", "duration of an experiment, at least", policy.MinMirrorDuration.String()},
		{"", "steps of a rollout", n(rollout.MaxSteps, "")},
		{"", "guards of a rollout", n(rollout.MaxGuards, "")},
		{"", "`bake` of a step", n(int(rollout.MaxBake.Hours())/24, "days")},
		{"", "`bake` of a step, at least", rollout.MinBake.String()},
		{"", "`minRequests` of a step", n(rollout.MaxMinRequests, "")},
		{"", "`retention` of a rollout", n(int(rollout.MaxRetention.Hours())/24, "days")},
		{"", "a query of a guard", n(rollout.MaxQueryBytes, "bytes")},
		{"", "`every` of a query, at least", rollout.MinEvery.String()},
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
