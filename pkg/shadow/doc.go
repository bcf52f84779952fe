// Package shadow says what differs between two origins that were asked the same, how often, and whether that is more than noise.
//
// A comparator asks control and candidate, and control once more for a share of requests and where a difference is to be confirmed. Each
// [Pair] goes to a [Comparer], which says what became of it and what differs ([Outcome]); outcomes are added up in a [Tally], which is
// bounded, can be merged with others, and survives a restart ([Tally.Encode]). [Tally.Report] tells what is known, with a verdict.
//
// Nothing of an answer is kept but its shape: types, lengths and keyed hashes; names of fields, headers and path segments only if they
// look like names (package name), values only of paths that are allowed by name. What holds content prints nothing of it.
//
// The packages below are pure and so is this one: no goroutine, no clock, no log, no context. Sub-packages have one reason each: tree
// (documents), rule (what is meant to differ), endpoint (templates of paths), stats (what is noise), name (what is shape).
package shadow
