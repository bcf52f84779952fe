// Package report is how every benchmark says what it found: JSON lines for machines, a table for people, and a page with the
// distributions, all in bench/results/DATE-COMMIT7. A figure without its machine, its versions and the command that repeats it is no
// figure, so they stand in every line.
package report
