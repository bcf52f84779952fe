// Package report is how every benchmark says what it found: JSON lines for machines, a table for people, and a page with the
// distributions, all in bench/results/DATE-COMMIT. A figure without its machine, its versions and the command that repeats it is no
// figure, so they stand in every line. What a metric is says the package comment of its benchmark, in a section Metrics, and pages have that: where it is
// changed, `go run ./bench/compare -join` makes the page of the latest anew. The page of the latest full reports leaves out folders that end in -dirty (files differed from the
// commit, at the start or at the end) and in -custom (flags or variables of the measuring were given by hand).
//
// An aim is met only by the worse end of what is known: that of the interval of a ratio, of five pairs of runs at least; the upper end of a p99
// ([Line.P99High]), whatever the distribution, or the largest of fewer than 368 samples. Reports of before commit c457199 are of before that: their aims were judged
// by intervals of three pairs, and by the p99 of the samples itself; what they say is met stays so.
package report
