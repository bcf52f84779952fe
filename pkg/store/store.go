// Package store keeps intent: the live documents, and every revision that led to them.
//
// A [Store] is a sequence of revisions, each immutable and attributed, written by compare-and-swap. Commit is durable when it
// returns: a crash afterwards loses nothing, a crash before leaves no part of it. Backends live in folders of their own and pass
// the suite in storetest.
package store

import (
	"context"
	"errors"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Errors of a store. Backends wrap them with what happened; callers test with errors.Is.
var (
	// ErrConflict: the object's last revision is not the one expected.
	ErrConflict = errors.New("another revision came first")
	// ErrNotFound: no such object or revision.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the change could not be made durable (full disk, hung disk, closed). No reader sees any part of it when this is
	// returned. Where the message says "in doubt" the disk failed or hung at the last step: the store takes no further commit until it
	// knows, and a later Load shows what became of it.
	ErrUnavailable = errors.New("store unavailable")
	// ErrKeyReused: the idempotency key belongs to another request.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrCorrupt: the file is damaged or not ours. Returned by opening, and by a read that meets damage.
	ErrCorrupt = errors.New("not a readable crossfade store")
	// ErrNewerVersion: written by a later version of Crossfade. Returned by opening only.
	ErrNewerVersion = errors.New("store was written by a newer version")
)

// ObjectKey names a live object.
type ObjectKey struct {
	Kind string // "Service", "Fleet", "Mirror" or "Rollout"
	Name string
}

// AnyRevision as Write.Expect switches the comparison off.
const AnyRevision int64 = -1

// Write is one object's part of a commit.
type Write struct {
	Key    ObjectKey
	After  *crossfadev1.Document // nil deletes
	Expect int64                 // the revision that last changed the live object; 0: it must not exist; AnyRevision: not compared
	Action string                // for the history, for example "split set"
	// RolledBack says that the service is rolled back afterwards; kept in the revision.
	RolledBack bool
	// Cause is what last set the split of a service; kept in the revision.
	Cause string
}

// Commit is one atomic change: all writes or none. Each write becomes one revision, in order.
type Commit struct {
	Writes         []Write
	Time           time.Time
	Who            string
	Verified       bool
	Reason         string
	IdempotencyKey string // empty: none
	RequestDigest  []byte // of the request that carried the key
	Stamp          string // identifies the change on the proxies; kept in each revision
}

// Object is a live object.
type Object struct {
	Key      ObjectKey
	Revision int64 // the revision that last changed it
	Document *crossfadev1.Document
	Record   *crossfadev1.Revision // that revision
}

// Snapshot is everything live at one revision.
type Snapshot struct {
	Revision int64 // the last one of the global sequence
	Objects  []Object
}

// HistoryQuery selects revisions, newest first.
type HistoryQuery struct {
	Key    ObjectKey // zero: all
	Before int64     // only revisions below; 0: from the newest
	Limit  int       // at most; 0: 200
}

// Store is the port. All methods are safe for concurrent use. Returned documents belong to the caller.
type Store interface {
	// Load returns everything live, sorted by kind and name.
	Load(ctx context.Context) (*Snapshot, error)
	// Commit makes a change durable and returns its revisions, in the order of the writes. With an idempotency key that was
	// used for the same request within 24 h before commit.Time it writes nothing and returns the revisions of then and replayed=true.
	// Errors: ErrConflict (a *ConflictError), ErrNotFound (a delete of what does not exist, not compared), ErrUnavailable, ErrKeyReused,
	// and that of [Commit.Validate]. ctx bounds the wait: a write that hangs in the disk returns
	// ErrUnavailable at ctx's end, and the store then refuses further commits until that write came back; a later Load shows what it became.
	Commit(ctx context.Context, c Commit) (revisions []*crossfadev1.Revision, replayed bool, err error)
	// Replay returns the revisions that an idempotency key wrote for the same request within 24 h before now, or used=false. It
	// answers what Commit would, without writing. Error: ErrKeyReused.
	Replay(ctx context.Context, key string, digest []byte, now time.Time) (revisions []*crossfadev1.Revision, used bool, err error)
	// Annotate adds what the fleet confirmed to a revision that exists, or returns ErrNotFound. A nil part leaves what is there. It never
	// changes anything else. It is durable when it returns; a reader may see it a moment before.
	Annotate(ctx context.Context, revision int64, fleet *crossfadev1.FleetState, proof *crossfadev1.Proof) error
	// History returns revisions, newest first. Where some were trimmed it goes on with the one before.
	History(ctx context.Context, q HistoryQuery) ([]*crossfadev1.Revision, error)
	// Revision returns one revision, or ErrNotFound: where it never was, or has been trimmed.
	Revision(ctx context.Context, revision int64) (*crossfadev1.Revision, error)
	// Export calls visit with all that the store held at its last durable revision, while changes go on: the head, the revisions in
	// ascending order, what is live, sorted by kind and name, and the idempotency keys. What [Store.Annotate] adds meanwhile may be
	// in it. visit may take its time: nothing waits for it but trims, which do nothing meanwhile. Its error ends the export and is returned.
	Export(ctx context.Context, visit func(Item) error) error
	// Trim removes the revisions that a retention does not keep, in small batches between which changes have their turn, and returns
	// how many. It ends early, without an error, while an export is on its way. Numbers are never used again.
	Trim(ctx context.Context, r Retention, now time.Time) (removed int, err error)
	// Close waits for the write in progress and releases the store. Changes that wait behind it are refused.
	Close() error
}

// ConflictError is an ErrConflict with its numbers.
type ConflictError struct {
	Key          ObjectKey
	Expect, Have int64
}

// Error gives the sentence for people.
func (e *ConflictError) Error() string {
	return e.Key.Kind + " " + e.Key.Name + ": " + ErrConflict.Error()
}

// Is makes it an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
