// Command start measures how long a control plane takes from its start to a proxy that has everything, and what memory it then holds.
//
//	go run ./bench/start -full        -quick shows within seconds that it works
//
// A control plane with its store on disk has so many services, applied by its API: two origins, five pins (one a regular expression) and so six routes
// each, on one port. It is killed and started again, many times. The clock runs from just before the process is started. Proxies (internal/deltaclient,
// which say of themselves what an Envoy says) try to connect every 2 ms meanwhile, as new processes that know nothing; what an Envoy adds is its own
// backoff, and its own work with what it gets, which bench/rollback has.
//
// There is no peer: a control plane of go-control-plane's caches has no store to start from.
//
// # Metrics
//
//   - ready: its ready file is there: it listens, and has its store.
//   - first_complete: the first of the proxies has every resource, and is told that it is ready.
//   - all_complete: all of them.
//   - resident: memory of the process (VmRSS) 2 s after all have it.
//   - resident_peak: the highest until then (VmHWM).
//
// All but ready have aims at 200 services and ten proxies. Within the 2 s the control plane may collect its garbage, as it does when nobody waits, and what
// that gives back to the system is not in resident. The peak is of the whole life of the process, garbage included: no collection, early or late, makes it less.
package main
