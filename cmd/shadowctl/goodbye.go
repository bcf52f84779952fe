package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/goodbye"
)

func newGoodbye(a *app) *cobra.Command {
	var b envoy.Bootstrap
	cmd := &cobra.Command{
		Use: "goodbye --node-id ID", Short: "Tell the server that a proxy has ended for good",
		Long: `Tell the server that a proxy has ended in order and will not come back under its name: it is forgotten at once, and not lost for a day. What runs a proxy
in a container does it, with the flags of its bootstrap. It is said as the proxy: at the address for proxies, with its certificate.

While the proxy is connected nothing happens: it is forgotten when its stream ends, unless it connects again.`,
		Example: "  shadowctl goodbye --fleet default --node-id edge-1 --xds 127.0.0.1:18000",
		Args:    exactly(),
		RunE:    a.do(func(ctx context.Context, _ []string) error { return a.goodbye(ctx, b) }),
	}
	bootstrapFlagsOf(cmd.Flags(), &b)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = !slices.Contains([]string{"fleet", "node-id", "xds"}, f.Name) })
	return cmd
}

// goodbye speaks to the server as a proxy does, once.
func (a *app) goodbye(ctx context.Context, b envoy.Bootstrap) error {
	if b.NodeID == "" {
		return badFlag("node-id", "", "is missing: which proxy has ended?")
	}
	a.server, _, _ = strings.Cut(b.XDSAddress, ",")
	if _, err := a.client(); err != nil {
		var f *failure
		if errors.As(err, &f) && f.problems[0].field == "--server" {
			f.problems[0].field = "--xds"
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := goodbye.Say(ctx, a.conn, b.Fleet, b.NodeID); err != nil {
		return err
	}
	a.note("%s of fleet %s is forgotten", b.NodeID, b.Fleet)
	return nil
}
