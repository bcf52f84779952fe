package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/internal/version"
)

func newVersion(a *app) *cobra.Command {
	var client bool
	cmd := &cobra.Command{
		Use: "version", Short: "Show the versions of shadowctl and of the server", Args: exactly(),
		RunE: a.do(func(ctx context.Context, _ []string) error { return a.version(ctx, client) }),
	}
	cmd.Flags().BoolVar(&client, "client", false, "only that of shadowctl; asks no server")
	return cmd
}

func (a *app) version(ctx context.Context, clientOnly bool) error {
	tree := manifest.Map()
	own := manifest.Map()
	manifest.Put(own, "version", manifest.Str(version.String()))
	manifest.Put(own, "commit", manifest.Str(commit()))
	manifest.Put(own, "go", manifest.Str(runtime.Version()))
	manifest.Put(tree, "client", own)
	var info *crossfadev1.GetServerInfoResponse
	var err error
	if !clientOnly {
		info, err = read(ctx, a, crossfadev1.CrossfadeServiceClient.GetServerInfo, &crossfadev1.GetServerInfoRequest{})
		if err == nil {
			manifest.Put(tree, "server", manifest.Answer(info))
		}
	}
	shown := a.show(tree, func() {
		a.say("shadowctl %s %s %s", version.String(), dash(commit()), runtime.Version())
		if info != nil {
			a.say("server    %s %s, up since %s, revision %d", info.GetVersion(), dash(info.GetCommit()), a.ago(info.GetStarted()), info.GetRevision())
		}
	})
	if err != nil {
		return err
	}
	return shown
}

// commit is the commit that this binary was built from, empty if it is not known.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(7, len(s.Value))]
		}
	}
	return ""
}
