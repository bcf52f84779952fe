// Command fleet measures what a change of weights costs a control plane with many proxies, beside stock go-control-plane.
//
//	go run ./bench/fleet -clients 1000 -services 200 -pairs 5        -quick shows within a minute that it works
//
// A simulated fleet, a process of its own, connects like that many Envoys (internal/deltaclient); the server is another process. Both are
// started anew for each system and round. In a round each system in turn has a cold start (all clients at once), then they take turns
// with flips (the weights of one service), then each in turn folds and has a reconnect storm (all at once, one flip behind). So what
// else goes on in the machine hits all alike; figures are compared within a round, and intervals are over the rounds.
//
// The systems serve the same resources, byte for byte: services of two origins, five pins (one a regular expression) and six routes,
// on one port. After each flip every client must hold exactly what an independent rendering says, or the run fails.
//
//   - crossfade: pkg/xds, driven as the control loop drives it. A flip is [xds.Fleet.Publish] with the levers of one service.
//   - linearcache: a LinearCache for each type behind MuxCache, on a gRPC server without options, as its users run it. A flip is
//     UpdateResource of the same runtime layer with the same content: the least that a user of go-control-plane can send who has had
//     the same idea. The aims stand here.
//   - linearcache-tuned: the same, but gRPC has the options that Crossfade's server has, so that what differs is the cache. Its codec is one
//     of them: it decodes less of what a client says of itself, also for the peer.
//   - linearcache-routes: a flip is UpdateResource of one virtual host with the weights written in it: what most do. Smaller on the wire;
//     what it costs Envoy, which rebuilds its table, is not measured here.
//
// The time of a flip runs from the call that publishes to the last acknowledgement that reaches the server, taken between gRPC and the
// discovery server of each system by the same interceptor. What is published is made ready before (levers compiled for us, the message
// built for the peer); rendering and marshalling count. The flips rotate over a few services (-flipping), each of which was flipped once
// before the first measured flip: from then on each carries the same layer of levers. Crossfade's own folding, which comes after seconds
// of quiet, is off, and measured apart. CPU time is the server's, from the publication until every client has been seen to hold it.
//
// A client says of itself what an Envoy 1.40 says, 61 kB with each stream, byte for byte but for the build: that is part of what a
// control plane receives, and what go-control-plane's server keeps for as long as the stream lasts.
//
// Memory is the resident set of the server process after the flips, its program included, and the highest until then. Nothing is tuned
// for it: both run with Go's own settings, and nobody hands memory back before it is read.
//
// The case "peerChanges" of a line says what the peer changed, "peerGrpc" how its gRPC was set.
package main
