package main

import (
	"context"
	"fmt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// defaultXDS is where a server listens for proxies unless told otherwise.
const defaultXDS = "127.0.0.1:18000"

// adviseProxy says how to start a proxy for the first fleet of a change that has none. It is advice: it fails silently.
func (a *app) adviseProxy(ctx context.Context, changes []*crossfadev1.Change) {
	if a.output != "table" {
		return
	}
	for _, c := range changes {
		fleet := c.GetFleet()
		if fleet == nil || fleet.GetConnected() > 0 || len(fleet.GetLost()) > 0 || fleet.GetName() == "" {
			continue
		}
		xds := defaultXDS
		info, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.GetServerInfo, &crossfadev1.GetServerInfoRequest{})
		if address := info.GetAddresses()["xds"]; err == nil && address != "" {
			xds = address
		}
		a.note("Start a proxy of fleet %s:\n  %s\n  %s", fleet.GetName(), bootstrapCommand(fleet.GetName(), xds), envoyCommand("bootstrap.yaml"))
		return
	}
}

func bootstrapCommand(fleet, xds string) string {
	return fmt.Sprintf("shadowctl bootstrap --fleet %s --node-id %s-1 --listen-address 127.0.0.1 --xds %s > bootstrap.yaml", fleet, fleet, xds)
}

// envoyCommand runs a proxy. The base id lets several run on one host.
func envoyCommand(bootstrap string) string {
	return "envoy -c " + bootstrap + " --use-dynamic-base-id"
}
