// Package loadgen sends HTTP requests at a constant rate, on loopback only, and says what became of every one of them.
//
// It is an open loop: request i is due at start + i/rate, whatever became of those before. Latency counts from when a request was
// due, so that a server that stalls is charged for the requests it kept from being sent. Nothing is retried: a request that fails,
// fails; a connection that the other side closed while idle is replaced before it is used. No request is left out of the report.
package loadgen
