// Package goodbye says to a control plane that a proxy has ended in order and will not come back, as that proxy: Envoy itself has no word for it.
package goodbye

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Metadata is the field of node metadata of a stream that says it, and nothing else.
const Metadata = "crossfade.goodbye"

// Say says it of the proxy with that node.id of a fleet, and returns when it is heard. It waits for a control plane that is not there, until ctx ends. Errors have the
// status of the stream.
func Say(ctx context.Context, conn grpc.ClientConnInterface, fleet, id string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	says := &structpb.Struct{Fields: map[string]*structpb.Value{Metadata: structpb.NewStringValue("yes")}}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: id, Cluster: fleet, Metadata: says}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch _, err := stream.Recv(); { // what Send met is what the stream ends with
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("proxy %q of fleet %q: the control plane answered with a configuration: it does not know goodbyes", id, fleet)
}
