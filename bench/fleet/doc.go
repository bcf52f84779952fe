// Command fleet measures what a change of weights costs a control plane with many proxies, beside stock go-control-plane: with 1 to 5,000 proxies,
// with 20 to 2,000 services, and with proxies that misbehave.
//
//	go run ./bench/fleet -full        -quick shows within a minute that it works
//
// A simulated fleet, a process of its own, connects like that many Envoys (internal/deltaclient, over connections that cost little: what it
// uses, it takes from the servers); the server is another process. Both are
// started anew for each system and round. In a round each system in turn has a cold start (all clients at once), then they take turns
// with flips (the weights of one service), each time in another order (-seed), then each in turn folds and has a reconnect storm (all at once, one flip
// behind). So what else goes on in the machine hits all alike; figures are compared within a round, and intervals are over the rounds. After each flip there is a pause
// of 200 ms, whosever it was, in all parts that are about its time: what a flip leaves to do, as a collection of garbage, ends before the next flip of anybody.
//
// The systems serve the same resources, byte for byte: services of two origins, five pins (one a regular expression) and six routes,
// on one port. After each flip every client must hold exactly what an independent rendering says, or the run fails.
//
//   - crossfade: pkg/xds, driven as the control loop drives it. A flip is xds.Fleet.Publish with the levers of one service.
//   - linearcache: a LinearCache for each type behind MuxCache, on a gRPC server without options, as its users run it. A flip is
//     UpdateResource of the same runtime layer with the same content, as a user of go-control-plane may send who has had the same idea; one who has a layer
//     for each service sends a twentieth of that, and has 200 of them. The aims stand here.
//   - snapshotcache: SnapshotCache, in the mode for ADS, with a snapshot for each node.id. A flip is NewSnapshot of all resources, of which that
//     layer is another one, and SetSnapshot for every proxy. All proxies get the same new snapshot, so the versions of its resources are
//     found once: a user whose proxies differ, or who makes a snapshot for each, pays that as many times. The cache itself marshals what it
//     sends for each proxy.
//   - linearcache-tuned: linearcache, but gRPC has the options that Crossfade's server has, so that what differs is the cache. Its codec is one
//     of them: it decodes less of what a client says of itself, also for the peer.
//   - linearcache-routes: a flip is UpdateResource of one virtual host with the weights written in it: what most do. Smaller on the wire;
//     what it costs Envoy, which rebuilds its table, is not measured here.
//
// The time of a flip runs from the call that publishes to the last acknowledgement that reaches the server, taken between gRPC and the
// discovery server of each system by the same interceptor. What is published is made ready before (levers compiled for us, the message
// built for the peer); rendering and marshalling count. The flips rotate over a few services (-flipping), each of which was flipped once
// before the first measured flip: from then on each carries the same layer of levers. Crossfade's own folding, which comes after seconds
// of quiet, is off, and measured apart. CPU time is the server's from the first measured flip to the last, pauses included, by flip, without what making them ready takes:
// so whatever a flip leaves to do counts, whenever it is done; flip_collections says how many collections of garbage are in it, by flip. fleet_cpu is that of all
// simulated proxies, from each publication until every client has been seen to hold it. They run on the same cores as the server: what they use, the server of a real
// fleet does not wait for, so times are longer here than with as many machines, and those of the faster system by a larger share.
//
// A client says of itself what an Envoy 1.40 says, 61 kB with each stream, byte for byte but for the build: that is part of what a
// control plane receives, and what go-control-plane's server keeps for as long as the stream lasts.
//
// Memory is the resident set of the server process after the flips, its program included, and the highest until then. All run with Go's own settings, and nobody
// hands memory back before it is read. Ours collects garbage while nothing happens as xds-server does (internal/garbage), which a user of go-control-plane would have to
// write; that is less memory and less often a flip that meets a collection, and its CPU counts. The peak of a reconnect storm begins anew once all have
// hung up. Of one or ten proxies memory_per_proxy says little: what the program itself has is many times that.
//
// # The parts
//
//   - main: one size, all peers but snapshotcache, and the aims that are ratios. The case "peerChanges" of a line says what the peer changed, "peerGrpc" how its
//     gRPC was set.
//   - proxies: fleets of 1 to 5,000, one size after the other.
//   - services: 20, 200 and 2,000 of them, all sizes in the same rounds, without pauses; each system is held against itself with 20, and ours, in lines of their own,
//     against linearcache with as many.
//   - manners: a hundredth of the proxies refuse each change of the endpoints of one service, which comes with every flip; two hundredths read
//     nothing for 1 to 5 s after each response; and two real Envoys, with the bootstrap that users have, are among the others. In a round
//     each fleet behaves for some flips and misbehaves for some, in every other round first. flip_acked_healthy is until the last of the
//     proxies that can do nothing but behave, the real Envoys included. Those that refuse must nevertheless hold each flip; in the end, when all
//     behave again, everybody must hold everything, and the Envoys must show the weight in their runtime. responses_to_refusing is by flip and proxy: two
//     is the flip and what is refused; more would be something sent again. server_cpu is all that the server used in this time, per flip. A
//     slow proxy here stops reading the stream; a connection that is stuck in the network is something else, and is not here.
//   - envoy: one real Envoy with 20, 200 and 2,000 services on one port, each beside the one with 20: the CPU of all its threads for a change of one service's weights, of
//     one origin's endpoints, of one service's routes, and for the fold of one service, until 50 ms after it was acknowledged. It sends statistics each 4 minutes, to keep
//     them out.
//   - costs: lines without a part of their own. What each further proxy or service adds, as the slope of a straight line through all sizes (least
//     squares) in each round. What grows with the product of both is in the first at the services of main, in the second at a hundred proxies.
//
// A server that needs more than -limit (12 GB) is ended, and so is a system of which a flip takes over a minute or a start over two. It is not
// asked again in later rounds. Its lines have the figures of the rounds before that, and say in how many rounds it gave up, and why; there is no ratio
// then. Of ours they are invalid: no aim is met by the rounds that are left.
//
// # Metrics
//
// Figures of flips are by flip, and of the server unless they say otherwise. Bytes are those of messages, without what HTTP/2 puts around them.
//
//   - flip_acked: from the call to the last acknowledgement.
//   - flip_acked_p99: the p99 of a round, a sample each.
//   - flip_acked_by_half: until half of the proxies have acknowledged.
//   - flip_cpu, flip_responses, flip_bytes: what a flip takes, and what is sent for it, to all proxies together.
//   - flip_cpu_per_proxy, flip_bytes_per_proxy: these, divided by the number of proxies.
//   - flip_collections, fleet_cpu: see above.
//   - fold_acked, fold_cpu, fold_bytes: as of a flip, of a fold, which only Crossfade has.
//   - memory, memory_peak: see above.
//   - memory_per_proxy, heap_per_proxy: what came since no proxy was connected, divided by their number.
//   - heap: what is alive after the flips, right after a collection that was asked for.
//   - goroutines, stacks: how many there are with all proxies connected, and the bytes of their stacks.
//   - cold_start: from when all begin to connect until all have everything.
//   - cold_start_cpu, cold_start_bytes: what that takes.
//   - reconnect_storm: from when all begin to connect again until all have everything.
//   - reconnect_storm_cpu, reconnect_storm_bytes, reconnect_storm_resources, reconnect_storm_memory_peak: what that takes; bytes and resources are those
//     sent to all together.
//   - streams_lost: streams that ended by themselves.
//   - flip_acked_healthy, flip_acked_healthy_p99, server_cpu, responses_to_refusing: see manners.
//   - responses_refused: those of them that were refused, by flip and proxy.
//   - envoy_cpu: see envoy.
//   - envoy_acked: until the acknowledgement of that.
//   - envoy_memory: the resident set of such an Envoy.
//
// Of names that end in _each_proxy and _each_service see costs.
package main
