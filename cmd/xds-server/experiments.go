package main

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/experiment"
)

// openDesk makes the desk of experiments, which asks control what it works on and tells it when something has ended.
func (p *parts) openDesk(c *config, log *slog.Logger) *experiment.Desk {
	return experiment.Open(experiment.Config{
		Dir: filepath.Join(c.dataDir, mirrorsDir), Token: c.token.reveal(), Secure: p.secured.keeper != nil, Log: log, Lease: c.mirrors.lease, Retention: c.mirrors.retention,
		Identities: c.mirrors.identitiesByName(), MaxRPS: float64(c.mirrors.rules().MaxRPS),
		End: func(mirror, run, why, detail string) {
			if err := p.control.EndMirror(context.Background(), mirror, run, why, detail); err != nil {
				log.Warn("the end of a mirror could not be recorded; trying again", "mirror", mirror, "why", why, "error", err)
			}
		},
		Comparators: func(at []netip.AddrPort) { p.control.SetComparators(at) },
		Proxies:     func() map[string]string { return p.control.ExperimentAddresses() },
		Traffic:     func(service string) experiment.Traffic { return p.control.MirrorTraffic(service) },
	})
}

// rules are what the settings allow of experiments.
func (s mirrorSettings) rules() control.MirrorRules {
	out := control.MirrorRules{Values: s.values, MaxRPS: s.maxRPS}
	for _, i := range s.identities {
		out.Identities = append(out.Identities, i.name)
	}
	return out
}

func (s mirrorSettings) identitiesByName() map[string]experiment.Identity {
	out := map[string]experiment.Identity{}
	for _, i := range s.identities {
		out[i.name] = experiment.Identity{Header: i.header, Value: i.value.reveal()}
	}
	return out
}
