// Command datapath measures what the configuration that we generate costs Envoy for each request, beside the smallest one by hand.
//
// A control plane, Envoys of its fleets with the bootstrap of deploy/envoy, two origins and an open-loop load run as processes of one machine. Every
// system divides requests over the same origins in halves and has one worker thread. A request has the headers of a browser behind a load
// balancer, 0.5 kB, and no body; the answer has a few bytes. Clients have 64 connections of HTTP/1.1 that stay open. The smallest Envoy is
// envoy-static.yaml.tmpl, of the same binary; HAProxy and nginx, whose configurations stand beside it, are context.
//
// # One turn
//
// The rate is 40 % of what our Envoy answers when it is sent too much, which keeps about half a core of it busy. A part of a second is for
// connections and caches; then comes the window, in a full run one or two flushes of statistics long, so that what they cost is in it.
// cpu_per_request is the CPU time of the whole process in the window, by its CPU clock (user and kernel, all threads), divided by the requests
// that were answered in it. Latency counts from when a request was due. A turn in which less than 97 % of the rate was answered is marked and
// meets no aim; so is one with a failed request.
//
// # Parts
//
// defaults has the aim: one service with everything as it is by default, access log and statistics included, beside the smallest Envoy. Systems take
// turns at the whole rate, each round another one first, and are compared round by round: what the machine does for longer than a round falls
// out. Beside that, 200 services which are asked in turn, and what each system answers when it is sent too much; the load generator shares the
// machine then.
//
// features compares one feature each with the defaults, attribution what we generate with the same less a piece. The differences are smaller
// than what a machine differs in from second to second, so both of a pair are asked at the same time, each at half the rate: what happens
// to one happens to the other. At a quarter of a core a request costs more than at half of one, in both.
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
package main
