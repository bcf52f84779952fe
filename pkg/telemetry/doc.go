// Package telemetry knows what the proxies did: it receives their statistics, adds them up per service and origin, says what they prove
// about a change, and makes windows for guards of them.
//
// Two streams come in, on the listener of the control plane. OTLP metrics ([Telemetry.Register]) are the truth: each flush of a proxy holds
// what each counter grew by in one interval, also for requests that never got a connection. LRS is a faster clock that is switched on only
// for the clusters of a change in progress and of watches; it cannot see a request that waits for a connection, so as proof it counts only where
// that is ruled out.
//
//	message → decoder (flush) → fleet: series ([Window] per cluster) → [Telemetry.Traffic]
//	                                 ├→ tracker (pure) per change → [Proof]
//	                                 └→ ledger (pure) per proxy and cluster that is watched → [Watch]
//
// What is absent from a flush is zero, because the flush itself arrived (it holds at least the heartbeat, server.uptime). A proxy from which
// nothing arrives makes its part unknown. All decisions are in [Window], tracker and ledger, which read no clock and start no goroutine; around
// them, each LRS stream has one goroutine that sends.
//
// Times of a proxy's own clock are never compared with ours: see clock.
package telemetry
