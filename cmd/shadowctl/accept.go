package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

func newEndpointsAccept(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "accept SERVICE ORIGIN", Short: "Let go of the endpoints of an origin that are held",
		Long: `Say that the endpoints of an origin that its source no longer names are meant to be gone: they get no request any more.

When a source suddenly names far fewer endpoints than before, unannounced, that is not believed at once: the missing ones are held, and used
on, until the source has repeated it for a while; where it names none at all any more, for as long as it names none. This ends the wait.
Where nothing is held, nothing is done.`,
		Example: "  shadowctl endpoints accept orders eks --reason \"scaled down\"",
		Args:    exactly("SERVICE", "ORIGIN"), ValidArgsFunction: a.completeArgs(completeService, completeOrigin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.AcceptEndpointsRequest{Service: args[0], Origin: args[1], Options: a.options()}
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.AcceptEndpoints, req, args[0])
			if err != nil {
				return a.failureAfter(err, "the held endpoints of "+args[1]+" accepted as gone")
			}
			tree := manifest.Answer(out.GetChange())
			manifest.Put(tree, "accepted", answers(out.GetAccepted()))
			return a.show(tree, func() { a.sayAccepted(args[1], out) })
		}),
	}
}

// sayAccepted says which endpoints were let go of, and nothing of the split: that stays.
func (a *app) sayAccepted(origin string, out *crossfadev1.AcceptEndpointsResponse) {
	change := proto.CloneOf(out.GetChange())
	change.Split, change.Proof = nil, nil
	for _, f := range change.GetFleets() {
		f.Split, f.Proof = nil, nil
	}
	if len(out.GetAccepted()) == 0 {
		change.Fleet, change.Fleets = nil, nil // nobody has to know
		a.sayChange(change, "no endpoint of "+origin+" is held")
		return
	}
	addresses := make([]string, len(out.GetAccepted()))
	for i, e := range out.GetAccepted() {
		addresses[i] = e.GetAddress()
	}
	a.sayChange(change, fmt.Sprintf("let go of %s of %s (%s)", count(int64(len(addresses)), "endpoint"), origin, few(addresses)))
}
