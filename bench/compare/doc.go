// Command compare says what differs between two reports of bench/results beyond the noise.
//
//	go run ./bench/compare 55c0376 ce1f8ad        or more of the names, or folders; -all shows every line
//
// A line is compared by its ratio to the peer of its own run where both reports have one, since the machine falls out of that; else by the mean of its
// runs, which holds only if the machine was the same and as idle. The intervals are those of Welch's t-test on logarithms, so wide that of the lines of a
// bench that stand out one in 20 does so by chance, at most and on average: among a hundred lines that have not changed, five would stand out
// otherwise. What needs no statistics is said in any case: failures where there were none and the reverse, aims that are met no longer or now, lines that became
// invalid, and offered rates that are more than 2 % apart. Lines that only one report has are counted, and so are those that are invalid in one of the
// two, those of fewer than three runs, and those of reports from before 2026-11-27, which do not say how far their runs lie apart. Other machines,
// versions and commands of what both reports have are said first.
package main
