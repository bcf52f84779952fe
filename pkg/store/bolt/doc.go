// Package bolt is the embedded store: one bbolt file, for a control plane of one instance.
//
// # What is in the file
//
//	meta       "format" → magic and schema version (frozen: every later version can read it); "head" → last revision, and number and
//	           sum of all entries below
//	revisions  revision, big endian → crossfade.v1.Revision
//	live       kind 0 name → revision that last changed it (its document is in there)
//	objects    kind 0 name 0 revision → revision before, of the same object
//	keys       idempotency key → time, first revision, number of revisions, digest of the request
//	expiry     time, key → nothing; the keys in the order in which they expire
//
// Every value begins with 8 bytes of SHA-256 over bucket, key and value, so that a flipped bit is an error and never another value. The
// head holds the sum of these sums, so that an entry that went missing, or a page that is an old version of itself, is seen too.
//
// The schema version is 1 until history is trimmed for the first time, so that a version that knows no trims can be gone back to, and 2 from
// then on: the numbers of the revisions have gaps, and the index of an object goes around them.
//
// # What opening checks, and why
//
// bbolt maps the file and trusts its pages. On damage it panics, faults past the end of a cut file (SIGBUS kills a Go process), or recurses
// until the stack ends where pages form a circle; the last cannot be contained. It also falls back to the older of its two meta pages without
// a word when the newer one is damaged, which loses the last commit. Hence [Open] walks the file with plain reads before bbolt sees it: both meta pages
// valid, every page used exactly once or free, all bounds and the key order, every sum. That reads the whole file once. bbolt is then
// called with faults turned into panics and panics into store.ErrCorrupt, for damage that comes while the store is open.
//
// Both meta pages must be valid because a crash cannot damage one: what counts of it fits into one disk sector.
//
// # Commits
//
// One goroutine writes. Whatever waits when it is free goes into one bbolt transaction, so concurrent commits share its two fsyncs.
// bbolt shows a transaction to readers before its last fsync; here the live objects are kept in memory and revisions above the last durable
// one are hidden, so nobody reads what a crash could take back. Where that last fsync fails the outcome is in doubt: the next
// commit first makes sure of it by an empty transaction.
//
// # Long reads
//
// bbolt holds up a write that needs more room until all read transactions are over. Hence nothing reads long: an export and the scan before
// a trim are many short transactions. A trim goes through the writer like changes do, a few revisions at a time.
//
// Memory: the live objects and their last revisions. A read of history on a hung disk whose pages are not cached holds one thread of the
// runtime until the disk is back, because a page fault is no system call to the scheduler.
package bolt
