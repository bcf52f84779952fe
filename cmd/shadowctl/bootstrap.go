package main

import (
	"bytes"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// bootstrapFlags maps the fields of a bootstrap to flags, for errors.
var bootstrapFlags = map[string]string{
	"fleet": "--fleet", "nodeID": "--node-id", "listenAddress": "--listen-address", "xdsAddress": "--xds", "readyAddress": "--ready-address",
	"adminAddress": "--admin-address", "experimentAddress": "--experiment-address", "flushInterval": "--flush-interval",
	"maxConnections": "--max-connections", "maxHeapBytes": "--max-heap-bytes", "zone": "--zone",
}

func newBootstrap(a *app) *cobra.Command {
	var b envoy.Bootstrap
	cmd := &cobra.Command{
		Use: "bootstrap --node-id ID", Short: "Print the configuration that an Envoy starts with",
		Long: `Print the configuration that an Envoy starts with; the command that runs it goes to standard error. It asks no server.
Everything else reaches the proxy from the server.`,
		Example: "  shadowctl bootstrap --node-id edge-1 --xds 127.0.0.1:18000 > bootstrap.yaml",
		Args:    exactly(),
		RunE:    a.do(func(context.Context, []string) error { return a.bootstrap(b) }),
	}
	f := cmd.Flags()
	f.StringVar(&b.Fleet, "fleet", policy.DefaultFleet, "`FLEET` of the proxy: its node.cluster")
	f.StringVar(&b.NodeID, "node-id", "", "`ID` of the proxy, unique among all and the same after a restart")
	f.StringVar(&b.ListenAddress, "listen-address", envoy.DefaultListenAddress, "`IP` address where services are served; the ports are theirs")
	f.StringVar(&b.XDSAddress, "xds", defaultXDS, "`HOST:PORT` of the server for proxies; several with commas between")
	f.StringVar(&b.ReadyAddress, "ready-address", envoy.DefaultReadyAddress, "`IP:PORT` of GET /ready, for load balancers and kubelets")
	f.StringVar(&b.AdminAddress, "admin-address", envoy.DefaultAdminAddress, "`IP:PORT` of Envoy's admin interface, loopback only")
	f.StringVar(&b.Zone, "zone", "", "availability `ZONE` of the proxy, where origins prefer their own (default not known)")
	f.StringVar(&b.ExperimentAddress, "experiment-address", "", "`IP:PORT` where the comparator reaches this proxy (default none)")
	f.DurationVar(&b.FlushInterval, "flush-interval", envoy.DefaultFlushInterval, "how often figures are sent")
	f.IntVar(&b.MaxConnections, "max-connections", envoy.DefaultMaxConnections, "client connections; more are closed at once")
	f.Int64Var(&b.MaxHeapBytes, "max-heap-bytes", 0, "memory above which requests are refused (default none)")
	return cmd
}

func (a *app) bootstrap(b envoy.Bootstrap) error {
	var out bytes.Buffer
	err := envoy.Render(&out, b)
	var errs policy.Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			e.Field = dashOr(bootstrapFlags[e.Field], e.Field)
		}
	}
	if err != nil {
		return err
	}
	if err := a.print(out.String()); err != nil {
		return err
	}
	a.note("Save it as bootstrap.yaml, then run:\n  %s", envoyCommand("bootstrap.yaml"))
	return nil
}
