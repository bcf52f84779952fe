// Command datapath measures what the configuration that we generate costs Envoy for each request, beside the smallest one by hand.
//
// A control plane, Envoys of its fleets with the bootstrap of deploy/envoy, two origins and an open-loop load run as processes of one machine. Every
// system divides requests over the same origins in halves and has one worker thread. A request has the headers of a browser behind a load
// balancer, 0.5 kB, and no body; the answer has a few bytes. Clients have 64 connections of HTTP/1.1 that stay open. The smallest Envoy is
// envoy-static.yaml.tmpl, of the same binary; HAProxy and nginx, whose configurations stand beside it, are context; where one is not on the machine, its
// line says how to get it.
//
// # One turn
//
// The rate is 40 % of what our Envoy answers when it is sent too much, which keeps about half a core of it busy. A second is for
// connections and caches, since the process may have been started just now; then comes the window, in a full run one or two flushes of statistics long, so that what they cost is in it.
// cpu_per_request is the CPU time of the whole process in the window, by its CPU clock (user and kernel, all threads), divided by the requests
// that were answered in it. Latency counts from when a request was due, and is compared by the p99 of each turn. Of the metric requests, n is how many
// there were, and the other columns are of sums by turn. If in a turn less than 97 % of the rate was answered, or a request
// failed, the figures of its system, and ratios to them, are marked as invalid and meet no aim. Where a system is sent too much, that is meant.
//
// # One run
//
// A process differs from its twin by up to 2 %, whatever is in it: more turns do not make that less, only more processes do. So a process has
// one turn, which is a run, and the runs of two systems are what is compared: intervals are over processes, by Student's t.
//
// # Parts
//
// defaults has the aim: one service with everything as it is by default, access log and statistics included, beside the smallest Envoy. That is a
// proxy of a fleet, at the whole rate; the ratio is that of crossfade's cpu_per_request with 1 service in this part, and printed as the aim.
// Systems take turns, and each round the control plane and all of them are started anew. Every second round has the order of the one before in reverse,
// and over ten rounds of five systems each comes right after each other one as often. A ratio is of processes that took turns with each other: what the
// machine does for longer falls out. Beside that, 200 services which are asked in turn, and what each system answers when it is sent too much, once for
// each process, in a shorter window; the load generator shares the machine then.
//
// features compares one feature each with the defaults, attribution what we generate with the same less a piece. The differences are smaller
// than what a machine differs in from second to second, so both of a pair are asked at the same time, each at half the rate: what happens
// to one happens to the other. At a quarter of a core a request costs more than at half of one, in both. Each pair has two processes of its own, and
// in features a control plane, started for one turn.
//
// Of HTTP/2 and TLS the cost of connections is not in a feature's price: they stay open. TLS is done for the load and the origins by relays in this
// process, whose latency is in that of the requests. Of mirrors the copies are in the price, and what the comparator asks through the same
// proxy: by default it asks a tenth of the live requests of control again. Where a feature answers otherwise by design (a cookie is set), that
// is in it too.
//
// attribution takes the configuration of a proxy of the fleet and makes it static. Pieces do not add up exactly; "all of these" says what they are
// together. What is then left beside the smallest Envoy is the form of the configuration: names, layers, the connection for statistics.
//
// # What it does not show
//
// Other sizes of requests and answers, where bytes cost more than headers; connections that come and go; many workers. With other work on the
// machine a request costs more in every system, since caches are shared: ratios stay comparable, microseconds do not.
//
// # Metrics
//
//   - cpu_per_request, latency, requests: see One turn.
//   - resident: the resident set of the process at the end of a turn.
//   - saturation: how many requests are answered in a second by what is sent too much.
package main
