package main

import (
	"context"
	"net/netip"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// mapping says under which addresses discovered endpoints are reached: those of one prefix in another. It is for trying things out on one
// machine, where a pod or task of 10.1.2.3 runs at 127.1.2.3: API servers refuse loopback addresses for pods.
type mapping struct{ from, to netip.Prefix }

// parseMapping reads "FROM=TO"; the empty text maps nothing.
func parseMapping(text string) (mapping, *policy.Error) {
	if text == "" {
		return mapping{}, nil
	}
	from, to, _ := strings.Cut(text, "=")
	var m mapping
	var err error
	if m.from, err = netip.ParsePrefix(from); err == nil {
		m.to, err = netip.ParsePrefix(to)
	}
	switch {
	case err != nil || !m.from.Addr().Is4() || !m.to.Addr().Is4() || m.from.Bits() != m.to.Bits():
		return mapping{}, invalid("bad_setting", "--map-addresses", text, "must be two IPv4 prefixes of one length", "write for example 10.0.0.0/8=127.0.0.0/8")
	case !m.to.Addr().IsLoopback():
		return mapping{}, invalid("not_loopback", "--map-addresses", text, "addresses are mapped to loopback addresses only", "write for example 10.0.0.0/8=127.0.0.0/8")
	}
	m.from, m.to = m.from.Masked(), m.to.Masked()
	return m, nil
}

// of returns where an address is reached.
func (m mapping) of(a netip.AddrPort) netip.AddrPort {
	if !m.from.IsValid() || !a.Addr().Is4() || !m.from.Contains(a.Addr()) {
		return a
	}
	in, to := a.Addr().As4(), m.to.Addr().As4()
	for i, bits := 0, m.from.Bits(); i < len(in); i, bits = i+1, bits-8 {
		keep := byte(0xff) // bits of the host
		if bits > 0 {
			keep = 0xff >> min(bits, 8)
		}
		to[i] |= in[i] & keep
	}
	return netip.AddrPortFrom(netip.AddrFrom4(to), a.Port())
}

// watch maps what a watch tells.
func (m mapping) watch(w tracker.Watch) tracker.Watch {
	if !m.from.IsValid() {
		return w
	}
	return func(ctx context.Context, tell func(discovery.Look)) error {
		return w(ctx, func(l discovery.Look) {
			mapped := make([]discovery.Endpoint, len(l.Endpoints))
			for i, e := range l.Endpoints {
				e.Address = m.of(e.Address)
				mapped[i] = e
			}
			l.Endpoints = mapped
			tell(l)
		})
	}
}
