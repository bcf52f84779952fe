// Command rollback measures how soon the last request reaches the old origin after a rollback, on real Envoys, beside HAProxy, nginx, Traefik and DNS.
//
// Four Envoys with the bootstrap of deploy/envoy (statistics and proof on), the control plane with its store on disk, and an open-loop
// load run as processes of one machine. The load is half of the capacity, which is measured first in the same run, and at least 100
// requests per second for each proxy.
//
// # One flip
//
// All traffic of a service is at eks. The clock is read, then the call Rollback is made; it waits for acknowledgements,
// and each 25th, of each run the first, for proof, which takes seconds and is followed in both. Truth is the log of eks,
// which notes each request when its head is complete: last_request is the newest note minus the time of the call. It is read when eks
// has been silent for 200 ms, right before `split set eks=100%` brings the traffic back, so every request that reached eks because the
// rollback was not there yet is in it. Nothing is left out: not the first flip, not what was in flight. Each proxy is asked under a host
// of its own, so that last_request_proxy can tell them apart. The next flip begins at a random moment after eks gets everything again.
// Folds are not among the flips: the control plane makes them after 5 s without a change of weights, and flips follow each other sooner.
//
// # Clocks
//
// Calls, load and origins read CLOCK_MONOTONIC of one machine (package monotime), so times of different processes can be subtracted.
// A rate of R requests per second sees the last moment only to within 1/R; mean_gap is that bound, for the fleet and for each proxy. The
// API client and the origins share a process: what delays its goroutines counts against the rollback.
//
// # Cases
//
// One service and 200 services of six routes on one port; with nothing else going on, and while other services change: 50 times per
// second their endpoints, once per second their routes. Then a flip away from an origin that holds at least 2,000 requests per proxy open, to
// one to which there are no connections.
//
// There are 400 flips of each case, over five runs, so that four are above the p99 and the largest is the upper end of its interval, by which the aim is
// met or not. Where a run did not get within 2 % of the rate it was to have, or endpoints or routes of others changed less than 98 % as often as they were
// to, the lines of the case are invalid and meet no aim. A run in which a system is not where it should be within 20 s ends there: the lines have its flips
// until then, say that it gave up, and meet no aim. Of the metric requests, n is how many there were, and the other columns are of sums by run.
//
// # Peers that are context
//
// Beside the case of one service that is quiet, without aims or ratios, and with a few flips each. A flip is measured in the same way, by the log
// of eks; what a rollback is differs:
//
//   - nginx, a master with one worker for each proxy: the configuration is written and `nginx -s reload` called, all at once. Acknowledged is when
//     the last new worker runs. The old ones end the requests they have and close their connections; a request that is just being sent then fails.
//   - Traefik's file provider: the files that it watches are written. It takes a change up at once, but not within 2 s of
//     the change before; rollbacks here begin later than that. One that follows a change sooner waits up to 2 s more.
//   - "dns ttl 2 s": no proxy. Four clients ask a DNS server for the address, by Go's resolver, keep it for the TTL of the answer, ask again, and
//     leave their connections if it is another one. They asked at evenly spread times, and the rollback, a new answer of the server, comes at a
//     random moment, so the last request comes between three quarters of the TTL and all of it; of many clients, at its end. This is the least that
//     a TTL costs: it does not show resolvers that keep answers longer, nor clients that never leave a connection. That it grows with the TTL
//     shows with 2 s and 5 s (1 s and 2 s in the short form); the 60 s of Route 53 are not run.
//
// Of HAProxy, nginx and Traefik those that are not on the machine have a line that says how to get them.
//
// Others cannot be run here. Teams that moved their services wrote that a change of the weights of ALB's target groups takes effect after about
// 15 s, and that records of Route 53 are kept for 60 s. Their lines have these words and no figures: nothing was measured. The first is held against
// ours: alb_weights_over_last_request is 15 s divided by the upper end of our p99 (by mean_gap_proxy, if that is longer), and should
// be 500 or more in each case.
//
// # Metrics
//
//   - last_request: see One flip.
//   - last_request_proxy: that of each proxy.
//   - late_requests: how many came to eks after the call.
//   - acked: until the last proxy had acknowledged, by the control plane's clock, from when it began the call.
//   - proxy_main_cpu, proxy_main_waited: how long the main thread of each Envoy ran during a call that waits for acknowledgements, and how long it could
//     have run and had no core.
//   - answer_proven: how long a call took that waited for proof.
//   - proof_error: how much later than in truth the last request was sent, by the proof.
//   - mean_gap, mean_gap_proxy: see Clocks.
//   - latency_p99: that of the proxy at which it was highest in a run, of all its requests, from when each was due.
//   - load_lateness_p99: how late the load itself sent them, likewise.
//   - requests: all that were sent, and those that failed.
//   - capacity: what the proxies answer when they are sent more.
//   - alb_weights_over_last_request: see Peers that are context.
//   - pools_open_requests: requests that were open at eks, shortly before the call, in the case of many open ones.
//   - pools_last_request: last_request there.
//   - pools_added_latency_second_before, pools_added_latency_first_second: what requests that were due in the second before the call, and in the first
//     after it, took longer than the origin does.
//   - pools_requests: all that were sent there; what failed includes requests that Envoy refused for its limits.
package main
