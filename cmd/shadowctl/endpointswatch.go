package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func newEndpointsWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch [SERVICE [ORIGIN]]", Short: "Show changes of endpoints as they happen, after those there are, until interrupted",
		Long: `Show the endpoints there are, and then what comes, changes and goes, and how well the sources of the origins are heard. When the server
goes away it connects again, and says so on standard error; the present state then comes once more.
With -o json each line is one object: {"type","time","object"}. Types: endpoint (it is there, or has changed), origin (its status changed), gone (of either).`,
		Example: "  shadowctl endpoints watch orders eks\n  shadowctl endpoints watch -o json",
		Args:    exactly("[SERVICE]", "[ORIGIN]"), ValidArgsFunction: a.completeArgs(completeService, completeOrigin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.WatchEndpointsRequest{}
			req.Service, req.Origin = originArgs(args)
			return a.keepWatching(ctx, func(c crossfadev1.CrossfadeServiceClient) (int, error) {
				stream, err := c.WatchEndpoints(ctx, req)
				return showAll(stream, err, a.showEndpointEvent)
			})
		}),
	}
}

func (a *app) showEndpointEvent(e *crossfadev1.WatchEndpointsResponse) error {
	var object proto.Message
	words := ""
	switch o := e.GetObject().(type) {
	case *crossfadev1.WatchEndpointsResponse_Endpoint:
		object, words = o.Endpoint, endpointWords(o.Endpoint)
	case *crossfadev1.WatchEndpointsResponse_Origin:
		object, words = o.Origin, originEventWords(o.Origin)
	}
	return a.showEvent(e.GetType(), e.GetTime(), object, func() string { return words })
}

// originEventWords is "orders/eks  held, 3 ready, 2 held: its source no longer names …".
func originEventWords(o *crossfadev1.OriginStatus) string {
	words := o.GetService() + "/" + o.GetOrigin() + "  " + o.GetState()
	if o.GetReady()+o.GetDraining()+o.GetHeld() > 0 {
		words += ", " + countWords(o)
	}
	return words + because(o.GetDetail())
}

// endpointWords is "orders/eks  10.0.0.3:8080  ready  eu-central-1a  HEALTHY".
func endpointWords(e *crossfadev1.Endpoint) string {
	words := e.GetService() + "/" + e.GetOrigin() + "  " + e.GetAddress() + "  " + e.GetState()
	for _, more := range []string{e.GetZone(), e.GetHealth()} {
		if more != "" {
			words += "  " + more
		}
	}
	return words
}
