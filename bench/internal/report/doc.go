// Package report is how every benchmark says what it found: JSON lines for machines, a table for people, and a page with the
// distributions, all in bench/results/DATE-COMMIT. A figure without its machine, its versions and the command that repeats it is no
// figure, so they stand in every line. The page of the latest full reports leaves out folders that end in -dirty (files differed from the
// commit) and in -custom (flags of the measuring were given by hand).
package report
