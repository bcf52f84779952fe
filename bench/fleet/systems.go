package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/garbage"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// The systems that are compared.
const (
	crossfade    = "crossfade"
	linear       = "linearcache"        // the same layer changes; gRPC is as it comes
	linearTuned  = "linearcache-tuned"  // the same with gRPC set as Crossfade sets it
	linearRoutes = "linearcache-routes" // the virtual host changes; gRPC is as it comes
	snapshot     = "snapshotcache"      // a new snapshot for every proxy; gRPC is as it comes
)

// change is what a publication brings a system to. Only a flip changes levers; with it the marked resource may change, and ours knows each of these alone.
type change struct {
	Flip   flip
	Marked int
	Routed int
}

// system is one of them, inside its server process.
type system interface {
	register(*grpc.Server)
	// run does what the system does in the background, until ctx ends.
	run(context.Context)
	// prepare makes what the next flip needs and says which resource will carry it.
	prepare(to change) (typeURL, name string)
	// publish sends the prepared flip.
	publish()
	// acked waits for what the system itself knows of acknowledgements. It is called after each flip that all proxies take.
	acked(context.Context) error
	// fold puts the server's small layer into its base layers, if it has that notion.
	fold(ctx context.Context) (bool, error)
}

// newSystem returns a system that serves so many proxies the state before the first flip.
func newSystem(name string, w workload, clients int) (system, error) {
	switch name {
	case crossfade:
		return newCrossfade(w), nil
	case linear, linearTuned, linearRoutes:
		return newLinear(w, name == linearRoutes)
	case snapshot:
		return newSnapshots(w, clients)
	}
	return nil, fmt.Errorf("no system %q", name)
}

// foldAfter is how long the server waits for quiet before it folds by itself. In xds-server it is 5 s; here it never comes, so that each
// measured flip does the same work however slow the machine is. What a fold costs is measured apart.
const foldAfter = time.Hour

// ours is the discovery server of Crossfade, driven as the control loop drives it.
type ours struct {
	workload workload
	server   *xds.Server
	fleet    *xds.Fleet
	at       change
	update   xds.Update
	waiter   *xds.Waiter
}

func newCrossfade(w workload) *ours {
	o := &ours{workload: w, server: xds.NewServer(xds.Options{})}
	o.fleet = o.server.Fleet(fleetName)
	services := w.all(0)
	u := xds.Update{
		Revision: 1, Structure: translate.Build(nil, services, translate.Options{}), Endpoints: endpointsOf(services),
		Levers: map[string][]translate.Lever{}, Named: true,
	}
	for _, s := range services {
		u.Levers[s.Name] = translate.Levers(s)
	}
	o.fleet.Publish(u).Close()
	o.fleet.Fold(0) // base layers
	o.fleet.Fold(0) // empty the top layer
	return o
}

func (o *ours) register(g *grpc.Server) { o.server.Register(g) }

// run does what xds-server does beside serving.
func (o *ours) run(ctx context.Context) {
	go garbage.Run(ctx, o.server.Quiet)
	o.server.Run(ctx, foldAfter)
}

func (o *ours) prepare(to change) (typeURL, name string) {
	o.workload.Routed = to.Routed
	o.update = xds.Update{
		Revision: int64(to.Flip) + 1, Named: true,
		Inline: func() *translate.Structure {
			return translate.Build(nil, o.workload.all(to.Flip), translate.Options{InlineWeights: true})
		},
	}
	if to.Routed != o.at.Routed {
		o.update.Structure = translate.Build(nil, o.workload.all(to.Flip), translate.Options{})
		typeURL, name = virtualHostType, hostOf(o.update.Structure, o.workload.compiled(o.workload.Services-1, 0).Name).Name
	}
	if to.Marked != o.at.Marked {
		marked := o.workload.marked(to.Marked)
		o.update.Endpoints = []translate.Resource{marked}
		typeURL, name = marked.Body.TypeUrl, marked.Name
	}
	if to.Flip != o.at.Flip {
		s := o.workload.compiled(o.workload.service(to.Flip), to.Flip)
		o.update.Levers = map[string][]translate.Lever{s.Name: translate.Levers(s)}
		typeURL, name = runtimeType, translate.TopLayer
	}
	o.at = to
	return typeURL, name
}

func (o *ours) publish() {
	if o.waiter != nil {
		o.waiter.Close() // also of a flip that not all proxies took
	}
	o.waiter = o.fleet.Publish(o.update)
}

func (o *ours) acked(ctx context.Context) error { return awaited(ctx, o.waiter) }

func (o *ours) fold(ctx context.Context) (bool, error) {
	for range 2 {
		o.fleet.Fold(0)
		if err := awaited(ctx, o.fleet.Follow()); err != nil {
			return false, err
		}
	}
	return true, nil
}

func awaited(ctx context.Context, w *xds.Waiter) error {
	defer w.Close()
	select {
	case <-w.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not acknowledged by %d proxies", len(w.Pending()))
	}
}
