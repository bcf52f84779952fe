// Package statsim is the statistics half of a simulated proxy, as internal/deltaclient is its discovery half: it counts requests that nobody sent, and
// reports them as an Envoy 1.40 with the bootstrap of deploy/envoy does.
//
//	Load (requests per second of each cluster) → Proxy (pure: what is counted by when) ─┬→ Flush: an OTLP message, each interval
//	                                                                                   └→ Report: an LRS message, as the server asks
//
// A [Proxy] reads no clock and sends nothing; a [Sender] has the clock and the connection. A test holds both kinds of messages against those of a real
// Envoy: names, labels, temporality, bounds and the size of every point.
//
// What is not simulated: requests are evenly spaced and their latencies are those of one distribution, evenly; none is open when a report is made, and none
// waits for a connection (an Envoy says so in upstream_rq_pending_total, 0.2 kB more of a cluster in the flush in which it connects). Failures are answers
// of 500, evenly. The build of the binary is left out of the node of load reports, 0.2 of 61 kB.
package statsim
