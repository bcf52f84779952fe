package statsim

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

// Fields of a node. Load reports say one thing more of it than discovery does.
const (
	nodeID, nodeCluster, nodeFeatures = 1, 2, 10

	sendsAllClusters = "envoy.lrs.supports_send_all_clusters"
)

// Node is what all proxies of a fleet say of themselves in each load report, but for their ids: 61 kB that they share.
type Node []byte

// NodeOf is the node that a simulated proxy sends with its discovery stream, as heard from it.
func NodeOf(c deltaclient.Config) (Node, error) {
	e := &ear{}
	if err := deltaclient.New(c).Run(context.Background(), e); !errors.Is(err, errHeard) {
		return nil, err
	}
	var node Node
	err := each(e.heard, func(num protowire.Number, whole []byte) {
		if num == 1 { // of a DeltaDiscoveryRequest
			value, _ := protowire.ConsumeBytes(whole[protowire.SizeTag(num):])
			node = value
		}
	})
	if err != nil {
		return nil, err
	}
	var rest Node
	err = each(node, func(num protowire.Number, whole []byte) {
		if num != nodeID && num != nodeCluster {
			rest = append(rest, whole...)
		}
	})
	return text(rest, nodeFeatures, sendsAllClusters), err
}

// Message is a LoadStatsRequest of one proxy that says who it is. Reports may be appended.
func (n Node) Message(id, fleet string) []byte {
	const room = 1 << 10
	return nested(make([]byte, 0, len(n)+room), 1, func(b []byte) []byte { return append(text(text(b, nodeID, id), nodeCluster, fleet), n...) })
}

// each gives each field of a message, with its tag, to a function.
func each(b []byte, do func(num protowire.Number, whole []byte)) error {
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		do(num, b[:n])
		b = b[n:]
	}
	return nil
}

// errHeard ends a stream whose first message was heard.
var errHeard = errors.New("heard")

// ear is a connection and a stream that hears the first message, and then breaks.
type ear struct {
	grpc.ClientConnInterface
	grpc.ClientStream
	heard []byte
}

// NewStream is the stream.
func (e *ear) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return e, nil
}

// SendMsg hears.
func (e *ear) SendMsg(m any) (err error) {
	if e.heard, err = proto.Marshal(m.(proto.Message)); err != nil {
		return err
	}
	return errHeard
}
