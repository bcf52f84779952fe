// Package backup is the form of a backup: a stream of records that says itself whether it is whole. It knows neither where it is kept
// nor which backend it came from.
//
// # The form
//
//	magic     "crossfade-backup\n"
//	version   uint32; all numbers are big endian
//	records   type, 1 byte; length, uint32; so many bytes
//	sum       SHA-256 over all that is before it
//
// Records are, in this order: the header (once), the entries of the rollback journal, the head of the store, its revisions, what is live, the
// idempotency keys, and the end, which says how many records there were before it. Nothing follows the sum.
//
// A journal entry is a rollback that was live and not recorded yet when the backup was made. It is read before the store is, so it may be
// in both; whoever replays it tells by its stamp.
package backup

const (
	magic   = "crossfade-backup\n"
	version = 1
	// MaxRecord bounds a record, in bytes: a revision holds two documents, and a request is far smaller.
	MaxRecord = 64 << 20
)

// Types of records.
const (
	typeHeader   = 'h'
	typeJournal  = 'j'
	typeHead     = 's'
	typeRevision = 'r'
	typeLive     = 'l'
	typeUsed     = 'u'
	typeEnd      = 'e'
)
