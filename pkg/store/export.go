package store

import (
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Item is one thing that a store holds; exactly one field is set.
type Item struct {
	Head     *Head
	Revision *crossfadev1.Revision
	Live     *Live
	Used     *Used
}

// Head is the state that an export is of. It comes first.
type Head struct {
	Revision  int64 // the last of the global sequence
	Revisions int   // how many are kept, for who shows progress: it may be more than there are when they are read
}

// Live names the revision that last changed a live object. These come after the revisions.
type Live struct {
	Key      ObjectKey
	Revision int64
}

// Used is an idempotency key that was used, and for what. These come last.
type Used struct {
	Key          string
	Time         time.Time
	First, Count int64 // its revisions
	Digest       []byte
}
