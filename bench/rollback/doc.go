// Command rollback measures how soon the last request reaches the old origin after a rollback, on real Envoys, beside HAProxy.
//
// Four Envoys with the bootstrap of deploy/envoy (statistics and proof on), the control plane with its store on disk, and an open-loop
// load run as processes of one machine. The load is half of the capacity, which is measured first in the same run, and at least 1,000
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
package main
