// Package truth serves two origins over HTTP whose differences and noise are drawn from a seed, so that what an experiment reports can be held
// against what is so: which differences there are, and how many requests each origin got. Like the worlds that it serves (package shadowtest)
// it knows nothing of how answers are compared.
package truth
