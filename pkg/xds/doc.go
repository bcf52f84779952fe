// Package xds serves fleets of Envoys by delta ADS and knows what each of them has.
//
// A [Fleet] has one target at a time: structure (clusters, listeners, routes, virtual hosts), endpoints and levers (runtime layers).
// Each kind is a [table]: immutable, its resources marshalled once and shared by all proxies, its differences to earlier tables
// computed once for all proxies that have the same. A session is one stream of one proxy; it remembers which table the proxy
// acknowledged, sends one response per kind at a time, and always the latest: what was superseded while a proxy was slow is never sent.
//
// Order, per proxy, by acknowledgement:
//
//	clusters, endpoints → levers of what is new at their safe value → listeners → routes → virtual hosts → levers → removal of clusters
//
// Levers overtake structure that is waiting: the two never share a response, and structure is sent in pieces. A rollback therefore
// waits for at most the piece that Envoy is working on. And virtual hosts, which cost an Envoy the most, are sent to a part of a fleet at a time.
//
// A resource that a proxy refuses is parked: it is not sent to that proxy again until its content changes. The service that it belongs to
// stays there as it was, with levers that fit; the rest goes on. What else was in the refused response the proxy may have or not, so it is
// sent what it should have, see [doubtful].
//
// Each stream has one goroutine here, which takes requests; what is sent has one while it is being sent.
package xds
