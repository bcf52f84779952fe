// Package probes holds the facts about Envoy that our design rests on: each probe shows a bare Envoy, configured by hand and not by our
// translator, doing it, and fails on a version that does otherwise, naming what of ours has to be thought over. docs/design/envoy-facts.md
// lists them. It has tests only.
//
// Not probed:
//
//   - How long things take, how much memory and CPU: benchmarks measure that.
//   - That ext_proc in observability mode crashes Envoy with bodies of 256 kB and more: a race, and nothing of ours uses it.
//   - SRDS, which compares hosts by case: nothing of ours uses it.
//   - That a runtime layer that nobody answers holds Envoy's start for 15 s: with a shorter timeout it holds it as well, which is probed.
//   - Stat sinks and load reports: pkg/telemetry and deploy/envoy test them with real Envoys.
//   - That there is no limit of client connections by default: it would take more of them than a machine has.
//   - What is known of other versions only.
package probes
