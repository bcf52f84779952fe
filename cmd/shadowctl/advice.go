package main

import (
	"context"
	"fmt"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// defaultXDS is where a server listens for proxies unless told otherwise.
const defaultXDS = "127.0.0.1:18000"

// adviseProxy says how to start a proxy for the first fleet of a change that has none.
func (a *app) adviseProxy(ctx context.Context, changes []*crossfadev1.Change) {
	if a.output != "table" {
		return
	}
	for _, c := range changes {
		for _, f := range fleetStates(c) {
			if f != nil && f.GetConnected() == 0 && len(f.GetLost()) == 0 && f.GetName() != "" {
				a.adviseFleet(ctx, f.GetName())
				return
			}
		}
	}
}

// fleetStates is the state of each fleet that a change concerns.
func fleetStates(c *crossfadev1.Change) []*crossfadev1.FleetState {
	if len(c.GetFleets()) == 0 {
		return []*crossfadev1.FleetState{c.GetFleet()}
	}
	var out []*crossfadev1.FleetState
	for _, one := range c.GetFleets() {
		out = append(out, one.GetFleet())
	}
	return out
}

// adviseFleet says how to start a proxy of a fleet. It is advice, so a server that does not say where it listens is no error.
func (a *app) adviseFleet(ctx context.Context, fleet string) {
	xds := defaultXDS
	info, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.GetServerInfo, &crossfadev1.GetServerInfoRequest{})
	if address := info.GetAddresses()["xds"]; err == nil && address != "" {
		xds = address
	}
	a.note("Start a proxy of fleet %s:\n  %s", fleet, strings.Join(proxyCommands(fleet, xds, a.tls()), "\n  "))
}

// proxyCommands make a bootstrap and run a proxy with it; where the server speaks TLS, one that knows it, by files that only its user can name.
func proxyCommands(fleet, xds string, t tlsFlags) []string {
	boot := fmt.Sprintf("shadowctl bootstrap --fleet %s --node-id %s-1", fleet, fleet)
	if !t.any() {
		return []string{boot + " --listen-address 127.0.0.1 --xds " + xds + " > bootstrap.yaml", envoyCommand("bootstrap.yaml")}
	}
	boot += " --xds " + xds + " --out DIR --tls-ca FILE --tls-cert FILE --tls-key FILE"
	if t.serverName != "" {
		boot += " --tls-server-name " + t.serverName
	}
	return []string{boot, envoyCommand("DIR/bootstrap.yaml")}
}

// envoyCommand runs a proxy. The base id lets several run on one host.
func envoyCommand(bootstrap string) string {
	return "envoy -c " + bootstrap + " --use-dynamic-base-id"
}
