// Command compare says what differs between two reports of bench/results beyond the noise.
//
//	go run ./bench/compare 55c0376 ce1f8ad        or more of the names, or folders; -all shows every line
//
// A line is compared by its ratio to the peer of its own run where both reports have one, since the machine falls out of that; else by the mean of its
// runs, which holds only if the machine was the same and as idle. The intervals are those of Welch's t-test on logarithms, so wide that all lines
// together are right 19 times of 20: among a hundred lines that have not changed, five would stand out otherwise. Lines that only one report has are
// counted, and so are those that are invalid in one of the two, those of fewer than three runs, and those of reports from before 2026-11-27, which do not
// say how far their runs lie apart. Other machines, versions and commands of what both reports have are said first.
package main
