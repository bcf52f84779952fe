// Command guards measures how soon a rollout is back when its candidate fails, and that a healthy one is left alone.
//
// The control plane is a process of its own; before it two Envoys with the bootstrap of deploy/envoy, which report what they count every 2 s (in a part of Latency every 500 ms), and
// loads every 250 ms while a rollout watches. Load and origins are this process. An open loop sends at a constant rate; what becomes of a request at an
// origin is drawn, each for itself, so that failures come as they do and not evenly.
//
// Times are by the origins' log: from the arrival of the first request that is answered badly to the arrival of the last request that eks got at all,
// known once the data plane has proven the rollback. The gap between two requests is in it. Between them, as far as a watcher of the rollout sees it: "seen"
// (a guard shows the failure; watchers hear of that every 200 ms) and "decided" (the rollout says that it goes back).
//
// Where less than 98 % of the rate of a load was sent, the lines of its rollouts are invalid and meet no aim.
//
// # Errors
//
// The one with an aim: 5 % errors at the 10 % step, of 2,000 requests a second, after 20 s of nothing wrong; the worst run counts.
//
// # Curve
//
// The same for few requests, by how many of them fail: twenty services side by side for each pair, half of their requests at eks. What is not
// found in ten minutes counts as ten minutes, the least that it took; so does a rollout that froze, or went back before anything was wrong.
//
// # Latency
//
// Latencies are drawn from a lognormal distribution with a mean of 60 ms and a p99 of 202 ms. Four services with a kind of guard each have 200 requests a second
// at eks, which becomes slower.
//
// # Ramp
//
// Ten steps from 1 to 100 % of a sound candidate: it has to end there, and no request may fail.
//
// # Healthy
//
// Sound candidates that look ill now and then: in each origin, one endpoint of twenty that always fails a little, one that fails all for 0.3 s each minute, one that
// stands still, slow starts. No rollout may go back or freeze. What is found is a count of whole rollouts; the interval says how little that is.
//
// # Many
//
// 200 services. What 200 rollouts cost the control plane, in turns with none; how much later one of them decides than if it were alone; and when
// the last is back if all fail at once.
//
// # Metrics
//
//   - last_request: from the first request that was answered badly to the last that the candidate got; of what was not found, as long as it was waited
//     for.
//   - seen, decided, proven: from the same moment until a watcher hears of the failure, that the rollout goes back, and that the rollback is proven.
//   - requests: all that were sent. Failed are those without an answer of an origin, and in the ramp those that one answered badly.
//   - rollouts: those that ended. Failed are those that went back or froze.
//   - beside_the_bakes: how long a ramp took in all, less the bake of each step.
//   - last_of_all: from when candidates are made to fail to the last request that any of these got.
//   - "cpu of the control plane": with 200 rollouts, with one, and with none.
//   - "memory of the control plane": its resident set in the last of the turns of each.
//   - documented: what others say of themselves; nothing was measured.
package main
