package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// bootstrapFlags maps the fields of a bootstrap to flags, for errors.
var bootstrapFlags = map[string]string{
	"fleet": "--fleet", "nodeID": "--node-id", "listenAddress": "--listen-address", "xdsAddress": "--xds", "readyAddress": "--ready-address",
	"adminAddress": "--admin-address", "experimentAddress": "--experiment-address", "flushInterval": "--flush-interval",
	"maxConnections": "--max-connections", "maxHeapBytes": "--max-heap-bytes", "zone": "--zone",
	"tlsCert": "--tls-cert", "tlsKey": "--tls-key", "tlsCA": "--tls-ca", "tlsServerName": "--tls-server-name", "secretsDir": "--secrets-dir",
}

func newBootstrap(a *app) *cobra.Command {
	var b envoy.Bootstrap
	var out string
	cmd := &cobra.Command{
		Use: "bootstrap --node-id ID", Short: "Print the configuration that an Envoy starts with",
		Long: `Print the configuration that an Envoy starts with; the command that runs it goes to standard error. It asks no server.
Everything else reaches the proxy from the server.

With TLS it takes three files, which --out writes into a directory. Of --tls-ca, --tls-cert and --tls-key, which the proxy reads again whenever they
change, only the paths on the proxy's host are written; the environment is not asked for them.`,
		Example: `  shadowctl bootstrap --node-id edge-1 --xds 127.0.0.1:18000 > bootstrap.yaml
  shadowctl bootstrap --node-id edge-1 --xds control.example.test:18000 --out /etc/crossfade \
    --tls-ca /etc/crossfade/tls/ca.crt --tls-cert /etc/crossfade/tls/tls.crt --tls-key /etc/crossfade/tls/tls.key`,
		Args: exactly(),
		RunE: a.do(func(context.Context, []string) error { return a.bootstrap(b, out) }),
	}
	f := cmd.Flags()
	f.StringVar(&b.Fleet, "fleet", policy.DefaultFleet, "`FLEET` of the proxy: its node.cluster")
	f.StringVar(&b.NodeID, "node-id", "", "`ID` of the proxy, unique among all and the same after a restart")
	f.StringVar(&b.ListenAddress, "listen-address", envoy.DefaultListenAddress, "`IP` address where services are served; the ports are theirs")
	f.StringVar(&b.XDSAddress, "xds", defaultXDS, "`HOST:PORT` of the server for proxies; several with commas between")
	f.StringVar(&b.ReadyAddress, "ready-address", envoy.DefaultReadyAddress, "`IP:PORT` of GET /ready, for load balancers and kubelets")
	f.StringVar(&b.AdminAddress, "admin-address", envoy.DefaultAdminAddress, "`IP:PORT` of Envoy's admin interface, loopback only")
	f.StringVar(&out, "out", "", "write bootstrap.yaml and what belongs to it into this `DIR` instead of printing it")
	f.StringVar(&b.TLS.SecretsDir, "secrets-dir", "", "absolute path of that `DIR` on the proxy's host, if it is another there")
	f.StringVar(&b.Zone, "zone", "", "availability `ZONE` of the proxy, where origins prefer their own (default not known)")
	f.StringVar(&b.ExperimentAddress, "experiment-address", "", "`IP:PORT` where the comparator reaches this proxy (default none)")
	f.DurationVar(&b.FlushInterval, "flush-interval", envoy.DefaultFlushInterval, "how often figures are sent")
	f.IntVar(&b.MaxConnections, "max-connections", envoy.DefaultMaxConnections, "client connections; more are closed at once")
	f.Int64Var(&b.MaxHeapBytes, "max-heap-bytes", 0, "memory above which requests are refused (default none)")
	return cmd
}

// bootstrap prints a bootstrap, or writes it and what belongs to it into a directory.
func (a *app) bootstrap(b envoy.Bootstrap, dir string) error {
	b.TLS.CAFile, b.TLS.CertFile, b.TLS.KeyFile, b.TLS.ServerName = a.tlsGiven.ca, a.tlsGiven.cert, a.tlsGiven.key, a.tlsGiven.serverName
	secure := a.tlsGiven.any()
	switch {
	case secure && dir == "":
		return badFlag("out", "", "is missing: with TLS a proxy needs three files, for example --out /etc/crossfade")
	case !secure && b.TLS.ServerName != "":
		return badFlag("tls-server-name", b.TLS.ServerName, "is of no use without --tls-ca, --tls-cert and --tls-key")
	case secure && b.TLS.SecretsDir == "":
		full, err := filepath.Abs(dir)
		if err != nil {
			return badFlag("out", dir, err.Error())
		}
		b.TLS.SecretsDir = full
	}
	var out bytes.Buffer
	if err := bootstrapError(envoy.Render(&out, b)); err != nil {
		return err
	}
	if dir == "" {
		if err := a.print(out.String()); err != nil {
			return err
		}
		a.note("Save it as bootstrap.yaml, then run:\n  %s", envoyCommand("bootstrap.yaml"))
		return nil
	}
	files, err := envoy.Secrets(b.TLS)
	if err != nil {
		return err
	}
	const bootstrap = "bootstrap.yaml"
	files[bootstrap] = out.String()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return badFlag("out", dir, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644); err != nil {
			return badFlag("out", dir, err.Error())
		}
	}
	a.note("Written into %s: %s. Run:\n  %s", dir, strings.Join(slices.Sorted(maps.Keys(files)), ", "), envoyCommand(filepath.Join(dir, bootstrap)))
	return nil
}

// bootstrapError names flags in the place of fields.
func bootstrapError(err error) error {
	var errs policy.Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			e.Field = dashOr(bootstrapFlags[e.Field], e.Field)
		}
	}
	return err
}
