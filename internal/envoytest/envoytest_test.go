package envoytest

import (
	"strings"
	"testing"
)

const bootstrap = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime: {layers: [{name: base, static_layer: {some.key: 5}}]}
static_resources:
  listeners:
  - name: tcp
    address: {socket_address: {address: HOST, port_value: PORT}}
    filter_chains: [{filters: [{name: echo, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}]
`

func TestEachVersion(t *testing.T) {
	ran := map[string]bool{}
	EachVersion(t, func(t *testing.T, version string) {
		port := Port(t)
		host, number, _ := strings.Cut(port.Addr(), ":")
		e := Start(t, Config{Version: version, Bootstrap: []byte(strings.NewReplacer("HOST", host, "PORT", number).Replace(bootstrap))})
		e.AwaitReady()
		e.AwaitRuntime("some.key", "5")
		e.AwaitStatAtLeast("server.live", 1)
		if got := e.ListenerAddress("tcp"); got != port.Addr() {
			t.Errorf("listens on %s, want %s", got, port.Addr())
		}
		ran[e.Binary.Version] = true
	})
	if len(ran) == 0 {
		t.Error("no version ran")
	}
}
