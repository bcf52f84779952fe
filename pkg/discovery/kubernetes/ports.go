package kubernetes

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// choosePorts returns, for each slice, the numbers of the port that a target names. The same name may be another number in each slice,
// because pods of different versions may listen at different ports. A port that no slice has is an error that names the ports there
// are, unless no slice has any endpoints: Kubernetes writes a slice without ports for a service scaled to nothing.
func choosePorts(all []*discoveryv1.EndpointSlice, t Target) ([][]uint16, error) {
	chosen := make([][]uint16, len(all))
	endpoints, matched := false, false
	for i, s := range all {
		endpoints = endpoints || len(s.Endpoints) > 0
		chosen[i] = portsOf(s, t.Port)
		matched = matched || len(chosen[i]) > 0
	}
	there := portsThere(all)
	if t.Port == "" && len(there) > 1 {
		return nil, portError("kubernetes_port_ambiguous", t, fmt.Sprintf("%s has several ports: %s", t, strings.Join(there, ", ")),
			"name one of them")
	}
	if !matched && endpoints {
		what := "no port"
		if t.Port != "" {
			what = "no such port"
		}
		message, next := fmt.Sprintf("%s has %s: its slices have no TCP ports at all", t, what), ""
		if len(there) > 0 {
			message, next = fmt.Sprintf("%s has %s; there are: %s", t, what, strings.Join(there, ", ")), "name one of them"
		}
		return nil, portError("kubernetes_port_missing", t, message, next)
	}
	return chosen, nil
}

func portError(code string, t Target, message, next string) error {
	return &policy.Error{Kind: policy.NotFound, Code: code, Value: t.Port, Message: message, Next: next}
}

// portsOf returns the numbers of a port in one slice: by number, by name, or all of them if want is empty. A slice that restricts
// ports in no way, as those that people write may, has any number that is asked for.
func portsOf(s *discoveryv1.EndpointSlice, want string) []uint16 {
	number, err := strconv.ParseUint(want, 10, 16)
	byNumber := err == nil
	if byNumber && len(s.Ports) == 0 {
		return []uint16{uint16(number)}
	}
	var out []uint16
	for i := range s.Ports {
		p := &s.Ports[i]
		has, ok := tcp(p)
		switch {
		case ok && byNumber && (has == 0 || has == uint16(number)):
			out = append(out, uint16(number))
		case ok && !byNumber && has != 0 && (want == "" || want == nameOf(p)):
			out = append(out, has)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tcp returns the number of a TCP port, 0 if it may be any.
func tcp(p *discoveryv1.EndpointPort) (uint16, bool) {
	switch {
	case p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP:
		return 0, false
	case p.Port == nil:
		return 0, true
	}
	return uint16(*p.Port), *p.Port > 0 && *p.Port <= 65535
}

func nameOf(p *discoveryv1.EndpointPort) string {
	if p.Name == nil {
		return ""
	}
	return *p.Name
}

// portsThere lists the TCP ports of all slices for people: "http (8080, 8081)", or "8080" if it has no name.
func portsThere(all []*discoveryv1.EndpointSlice) []string {
	numbers := map[string][]int{}
	for _, s := range all {
		for i := range s.Ports {
			if n, ok := tcp(&s.Ports[i]); ok {
				name := nameOf(&s.Ports[i])
				numbers[name] = append(numbers[name], int(n))
			}
		}
	}
	var out []string
	for name, ns := range numbers {
		slices.Sort(ns)
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Compact(ns)), " ", ", "), "[]")
		switch {
		case name == "" && list == "0":
			out = append(out, "any number")
		case name == "":
			out = append(out, list)
		case list == "0":
			out = append(out, name)
		default:
			out = append(out, fmt.Sprintf("%s (%s)", name, list))
		}
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}
