// Package experiment is the desk of mirror experiments: it tells comparators what to ask and how much of it, adds up what they counted, keeps
// that over a restart, and says when a run has to end.
//
// What there is to be asked is decided by package control, and what the counts mean by package shadow. Here is what lies between: a stream to
// each comparator (see the protos of ComparatorService), on which orders go out and counts come in. Orders hold for a lease, so that a
// comparator that hears nothing stops. The shares of all comparators together are never more than the limit of a run: one is made larger only
// after the others were sent smaller ones. Counts are cumulative for each start of a comparator, an instance: later ones take the place of
// earlier ones, so that nothing is counted twice or lost by a link that breaks, or by a restart on this side.
//
// The desk calls its owner from goroutines of its own, with no lock held.
package experiment
