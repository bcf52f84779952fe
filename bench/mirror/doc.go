// Command mirror measures whether copying live requests harms anybody: failures, latency, uploads, rollbacks, counts.
//
// A control plane with its comparator, real Envoys with the bootstrap of deploy/envoy, two origins and the load run as processes of one
// machine. Live requests go to ecs, which is the control; eks is the candidate, and gets copies only, so that its log is what was asked. In the
// part rollback live requests go to eks until the rollback, and the mark of copies tells them apart.
//
// # Harm
//
// Everything is copied while clients ask by HTTP/1.1, HTTP/2 and gRPC for 16 B to 20 MB, down and up, and know every byte of the right answer
// (package exact). Meanwhile the comparator, or the candidate, is slow, frozen or killed again and again. A slow comparator is stopped for 200 ms of
// every 220; a candidate that is frozen accepts nothing and answers nothing. gRPC has no message of 20 MB by default: those go as messages of
// 1 MB of one stream. Memory is looked at ten times per second. A state in which copies stopped says nothing: nine tenths of the requests must have
// been copied, and some of the copies asked. To a comparator that is disturbed some must have been sent: proxies send none to one that they hold for dead.
//
// # Latency
//
// Runs with a mirror and without one alternate, at the same open-loop rate, chosen so that everything that belongs to the run needs about a third of
// the machine. A pair is two neighbouring runs; the interval of the difference is Student's t over pairs. What the whole machine was busy
// with, others included, is in the notes. Figures are invalid if a run did not reach 97 % of its rate, or if in a run with a mirror fewer copies were asked
// than nine tenths of the share, less three standard deviations of the drawing; at 1 % also if the machine was busier than 40 %. The same holds of
// rollbacks, of which it may be 50 %, and of the load and the copies of the jump.
//
// # Uploads
//
// Single uploads through a proxy that copies all of them, right after its comparator was frozen and once the proxy has noticed, against the same
// without a mirror. They alternate in rounds, which are compared by their medians: the aim is on the whole interval of the ratio. In each round copies must
// have been sent to the comparator after it was frozen.
//
// # Rollback
//
// From before the call until every proxy has acknowledged and the last live request has come to eks, by the clock of its log, with everything copied
// and without a mirror in turn. The last request alone, as in bench/rollback, is 0 in half of the rollbacks at this rate: the gap between two requests
// through a proxy, which is in the notes, is longer than they take. Rounds of five are compared by their means, since the 99th percentile of five is the longest one,
// that is the machine; the ratio of the 99th percentiles of all is told beside it. The aim is on the whole interval of the ratio. The last copy that
// reaches eks is told as well. A rollback that fails ends the benchmark.
//
// # Capacity and counts
//
// The load rises until the comparator compares no more pairs per second: everything on this machine shares its cores, and the comparator gives way
// to the rest. At half of that and at all of it the report is held against the logs of the origins. Then traffic grows tenfold in a moment, and the
// requests at each origin are counted in every span of one second; the cap has to be pressed against all the time.
//
// # Metrics
//
//   - requests: all that were sent in a state, and those that failed.
//   - "memory of comparator, peak", "memory of envoy, peak", "memory of xds-server, peak": the highest resident sets.
//   - latency_p50, latency_p99: of a run, a sample each.
//   - latency_p50_difference, latency_p99_difference: those with a mirror less those without, pair by pair.
//   - machine_busy: the share of the time of all cores that was spent on something, be it other work.
//   - upload: how long one takes.
//   - rollback, last_request, last_copy: see Rollback.
//   - acked: until every proxy has acknowledged.
//   - copies_after_acknowledgement: how many came to eks after that.
//   - "pairs compared": where most of them were compared in a second.
//   - "cpu of the comparator for a pair": there.
//   - copies: those of which the report tells; what failed is in how many respects it does not fit the logs.
//   - "requests asked in a second": the comparator's that came to an origin in the second that begins with each of them, a sample each. Live ones are not
//     among them.
package main
