// Package discovery says which endpoints an origin has, from what orchestrators say of it, and doubts them where a mistake of theirs would
// take an origin down.
//
// A source (a folder of this package each) looks at one [Target] and tells each [Look]. A [Set] is what is believed of one origin: pure,
// it takes looks and gives endpoints. Stale endpoints beat none:
//
//   - A look that failed changes nothing but the age.
//   - An endpoint that its source announced to be stopping drains at once, and leaves when the source drops it.
//   - Endpoints that vanish without a word leave at once too, unless they are too many: more than a share of those that were ready, or
//     all. Then they are held: still in use, shown as held, until a later look says the same. That all are gone, no number of looks
//     confirms: a source that forgot everything is likelier than an origin that lost everything, so another source or a person must.
//   - Endpoints that appear are used at once.
//   - Shrinks that follow each other closely are judged by their sum.
//   - What was believed before the source told anything, by a note or of an earlier source, stays until it does: see [Seed].
package discovery
