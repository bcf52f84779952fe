package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// lookAt reads the slices of one service, in any order. It is pure.
//
// That there are no slices is an error, for a service that is not there yet looks the same as one that never will be. A slice without
// endpoints is an answer: the service is scaled to nothing.
func lookAt(all []*discoveryv1.EndpointSlice, t Target, at time.Time) discovery.Look {
	l := discovery.Look{At: at}
	if len(all) == 0 {
		l.Err = &policy.Error{
			Kind: policy.NotFound, Code: "kubernetes_service_missing",
			Message: t.String() + " has no endpoint slices: it is not there (yet), or it has no selector and nobody writes its slices",
			Next:    fmt.Sprintf("look at `kubectl -n %s get service,endpointslices`", t.Namespace),
		}
		return l
	}
	all = slices.SortedFunc(slices.Values(all), func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	found := map[netip.AddrPort]discovery.Endpoint{}
	ports, err := choosePorts(all, t)
	for i, s := range all {
		if err == nil && len(ports[i]) > 0 {
			err = collect(found, s, t, ports[i])
		}
	}
	if err != nil {
		l.Err = err
		return l
	}
	l.Endpoints = slices.SortedFunc(maps.Values(found), func(a, b discovery.Endpoint) int { return a.Address.Compare(b.Address) })
	return l
}

// collect adds the endpoints of one slice. Where two slices have the same address, as they do for moments while Kubernetes moves
// endpoints between slices, one that takes requests wins, and then the first.
func collect(into map[netip.AddrPort]discovery.Endpoint, s *discoveryv1.EndpointSlice, t Target, ports []uint16) error {
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		state, health, there := readiness(e.Conditions)
		if !there {
			continue
		}
		address, err := addressOf(e, s, t)
		if err != nil {
			return err
		}
		for _, port := range ports {
			found := discovery.Endpoint{Address: netip.AddrPortFrom(address, port), Health: health, State: state}
			if e.Zone != nil {
				found.Zone = *e.Zone
			}
			if known, twice := into[found.Address]; !twice || known.State == discovery.Draining && state == discovery.Ready {
				into[found.Address] = found
			}
		}
	}
	return nil
}

// readiness reads the conditions as the API defines them: nothing said of ready is ready, nothing said of serving is what ready is.
func readiness(c discoveryv1.EndpointConditions) (state discovery.Readiness, health string, there bool) {
	ready := c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	terminating := c.Terminating != nil && *c.Terminating
	switch {
	case terminating && serving:
		return discovery.Draining, "serving, terminating", true
	case terminating: // told too: so that its end is announced
		return discovery.Draining, "terminating", true
	case !ready && !serving:
		return "", "", false
	case c.Ready == nil:
		return discovery.Ready, "", true
	case !ready:
		return discovery.Ready, "serving", true
	}
	return discovery.Ready, "ready", true
}

// addressOf is the first address of an endpoint: the API gives no meaning to further ones.
func addressOf(e *discoveryv1.Endpoint, s *discoveryv1.EndpointSlice, t Target) (netip.Addr, error) {
	refuse := func(value, code, message, next string) (netip.Addr, error) {
		return netip.Addr{}, &policy.Error{
			Kind: policy.Invalid, Code: code, Value: value,
			Message: fmt.Sprintf("slice %q of %s %s", s.Name, t, message), Next: next,
		}
	}
	if len(e.Addresses) == 0 {
		return refuse("", "kubernetes_address_invalid", "has an endpoint without an address", "")
	}
	text := e.Addresses[0]
	if s.AddressType == discoveryv1.AddressTypeFQDN {
		return refuse(text, "kubernetes_address_type", "has host names (address type FQDN); only IPv4 and IPv6 addresses can be used",
			"use a dns origin for a service of host names")
	}
	address, err := netip.ParseAddr(text)
	want := map[discoveryv1.AddressType]bool{discoveryv1.AddressTypeIPv4: address.Is4(), discoveryv1.AddressTypeIPv6: address.Is6()}
	switch right, known := want[s.AddressType]; {
	case !known:
		return refuse(string(s.AddressType), "kubernetes_address_type", "has an address type that is neither IPv4 nor IPv6", "")
	case err != nil || !right || address.Zone() != "":
		return refuse(text, "kubernetes_address_invalid", fmt.Sprintf("has an address that is no %s address", s.AddressType), "")
	}
	return address.Unmap(), nil
}
