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
// 1 MB of one stream. Memory is looked at ten times per second.
//
// # Latency
//
// Runs with a mirror and without one alternate, at the same open-loop rate, chosen so that everything that belongs to the run needs about a third of
// the machine. A pair is two neighbouring runs; the interval of the difference is a bootstrap over pairs. What the whole machine was busy
// with, others included, is in the notes.
//
// # Uploads
//
// Single uploads through a proxy that copies all of them, right after its comparator was frozen and once the proxy has noticed, against the same
// without a mirror. They alternate in rounds.
//
// # Rollback
//
// As in bench/rollback: from before the call until the last live request at eks, by the clock of its log, with everything copied and without a
// mirror in turn. The last copy that reaches eks is told as well.
//
// # Capacity and counts
//
// The load rises until the comparator compares no more pairs per second: everything on this machine shares its cores, and the comparator gives way
// to the rest. At half of that and at all of it the report is held against the logs of the origins. Then traffic grows tenfold in a moment, and the
// requests at the candidate are counted in every span of one second.
package main
