package xds

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// maxFromProxy bounds a message of a proxy, in bytes.
const maxFromProxy = 16 << 20

// Bounds of a connection: streams at once, bytes of the headers of one, and how long it may be there for nothing.
const (
	maxStreams = 100 // an Envoy has a handful
	maxHeaders = 64 << 10
	maxIdle    = time.Minute
)

// window is how much a proxy may send ahead, in bytes: a few reports of its statistics.
const window = 1 << 20

// GRPCOptions are those of a gRPC server for proxies: thousands of connections of which each is mostly idle.
func GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.ReadBufferSize(4 << 10), grpc.WriteBufferSize(16 << 10),
		// Fixed windows: to size them itself, gRPC would ping a proxy for every acknowledgement.
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.MaxRecvMsgSize(maxFromProxy), grpc.ConnectionTimeout(10 * time.Second),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaders),
		// A proxy that is gone without a word is noticed within 15 s. Its own pings come every 5 s, with jitter.
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle, Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}
