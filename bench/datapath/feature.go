package main

import (
	"fmt"
	"strings"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// feature is what a service has beside two origins and a split. What is YAML is added to what stands there.
type feature struct {
	name    string
	service string // fields of the service
	split   string // fields of the split
	origin  string // fields of each origin
	fleet   string // fields of the fleet
	mirror  string // share of the requests that are copied
	others  int    // services beside it, each with five pins
	spread  bool   // these are asked too
	clients loadgen.Protocol

	secureOrigins, secureClients bool // TLS
}

// pins are five on headers, one a regular expression. No request matches one, so that each looks at all of them; each has the header of the second.
const pins = `
pins:
- {name: beta, origin: eks, header: {name: x-beta, exact: "1"}}
- {name: tester, origin: eks, header: {name: x-user, regex: "test-[0-9]+"}}
- {name: staff, origin: eks, header: {name: x-role, prefix: staff-}}
- {name: smoke, origin: eks, header: {name: x-smoke, present: true}}
- {name: stay, origin: ecs, header: {name: x-stay, exact: "1"}}`

// whole is the share of a mirror that copies every request.
const whole = "100%"

// id is the name of the feature as names of fleets and services are.
func (f feature) id() string { return strings.NewReplacer(" ", "-", ",", "").Replace(f.name) }

// priced are the features that have a price each. What can be set for an origin and costs nothing per request (health checks, circuit
// breakers, slow start) is not among them, nor what changes only how often something is done.
func priced(services int) []feature {
	return []feature{
		{name: "5 header pins", service: pins},
		{name: fmt.Sprintf("%d services, one asked", services), others: services - 1},
		{name: fmt.Sprintf("%d services, all asked", services), others: services - 1, spread: true},
		{name: "sticky cookie, known clients", split: "sticky: {cookie: {name: cf}}"},
		{name: "sticky cookie, new clients", split: "sticky: {cookie: {name: cf-new}}"},
		{name: "sticky header", split: "sticky: {header: {name: x-user}}"},
		{name: "timeouts", service: "timeouts: {request: 30s, maxStreamDuration: 10m}"},
		{name: "retries on errors", service: "retries: {on: [connect-failure, refused-stream, gateway-error], attempts: 2}"},
		{name: "retries on the other origin", service: "retries: {otherOrigin: {}}"},
		{name: "no retries", service: "retries: {on: [none]}"},
		{name: "outlier detection", origin: "outlierDetection: {}"},
		{name: "http2 to origins", origin: "protocol: http2"},
		{name: "http2 from clients", clients: loadgen.HTTP2},
		{name: "tls to origins", secureOrigins: true},
		{name: "tls from clients", secureClients: true},
		{name: "mirror 1 percent", mirror: "1%"},
		{name: "mirror 100 percent", mirror: whole},
	}
}

// documents are the services of the feature's fleet, and its settings if it has any. Fleet and first service are named by [feature.id].
func (f feature) documents(origins [2]string) string {
	fleet := f.id()
	all := []string{f.document(fleet, fleet, f.service, origins)}
	for i := range f.others {
		all = append(all, f.document(fleet, other(fleet, i), pins, origins))
	}
	if f.fleet != "" {
		all = append(all, "apiVersion: crossfade/v1\nkind: Fleet\nname: "+fleet+"\n"+f.fleet+"\n")
	}
	return strings.Join(all, "---\n")
}

func (f feature) document(fleet, name, service string, origins [2]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: crossfade/v1\nkind: Service\nname: %s\nfleet: %s\nhosts: [%s]\nprimary: %s\norigins:\n",
		name, fleet, host(name), originNames[0])
	for i, o := range originNames {
		fmt.Fprintf(&text, "- {%s}\n", fields(fmt.Sprintf("name: %s, static: {endpoints: [%q]}", o, origins[i]), f.origin))
	}
	fmt.Fprintf(&text, "split: {%s}\n%s\n", fields("weights: {ecs: 50%, eks: 50%}", f.split), service)
	return text.String()
}

// experiment copies requests of the first service until the bench ends.
func (f feature) experiment() string {
	return fmt.Sprintf("apiVersion: crossfade/v1\nkind: Mirror\nname: %s\nservice: %s\ncandidate: %s\nshare: %s\nlearn: 0s\nduration: 24h\noneBody: true\n"+
		"stop: {candidateErrors: 1000000, controlRefusals: 1000000}\n", f.id(), f.id(), originNames[1], f.mirror)
}

// hosts are asked in turn.
func (f feature) hosts() []string {
	fleet := f.id()
	out := []string{host(fleet)}
	if f.spread {
		for i := range f.others {
			out = append(out, host(other(fleet, i)))
		}
	}
	return out
}

func host(service string) string { return service + ".test" }

func other(fleet string, i int) string { return fmt.Sprintf("%s-%03d", fleet, i) }

// fields of a mapping in YAML; the second may be empty.
func fields(some, more string) string {
	if more == "" {
		return some
	}
	return some + ", " + more
}
