// Command comparison measures the comparison of answers: what a pair costs, what is found of what is planted, and what is found that is not.
//
// # Cost
//
// Pairs of JSON of 2 kB and 64 kB, equal or with two places that differ, in one goroutine, by the CPU time of the process, the garbage collector
// included. The peer is what one would write: it compares the bytes, and if they differ it decodes both with encoding/json and walks them once; it does no
// headers, no shapes and no classification. Runs of the two alternate, which is first changes, and the ratio is of neighbours. The aim, half of the peer's
// CPU, is of pairs that differ. Equal ones are two keyed hashes for us, and for the peer a comparison of bytes: they have no aim.
//
// # Recall
//
// Worlds of package shadowtest with 23 differences, one of each kind, at one rate, and ten noisy places beside them. There are twenty looks; a
// sample is how many pairs of an endpoint had been compared, on average, at the look that found a difference. What is not found within the
// number that docs/design/comparison.md states failed, and so did each false finding.
//
// # False findings
//
// Two origins that differ in nothing, with 60 noisy places, and ten looks. A sample is an experiment.
//
// # Diffy
//
// The rule that Diffy publishes (stats.DiffyRule) on the same pairs, all of them asked of control twice, as Diffy does. At some
// places there is noise beside the difference.
//
// # Metrics
//
//   - "cpu of a pair", "allocations of a pair": those of one comparison.
//   - "pairs per second and core": one divided by the first of these.
//   - "pairs of an endpoint until a difference is found": see Recall.
//   - "false findings": those where nothing differs, by a million pairs that were to be compared; an experiment ends at the look that finds one.
//   - "found of what is planted": the share that was found in a world, in the part Diffy.
//   - "false findings of an experiment": how many there were in such a world.
package main
