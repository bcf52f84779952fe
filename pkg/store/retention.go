package store

import (
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Retention says how much history is kept. Whatever it says, these stay: of each live object the last revision of every kind of change, which
// is what undo goes by and what a rollback is told from; and all that an idempotency key may still ask for.
type Retention struct {
	Keep  time.Duration // revisions that are older may go
	Most  int           // so do all but this many of the newest, whatever their age; 0: no bound
	Least int           // but this many of the newest stay, whatever their age
}

// keyMargin is what a revision must be older than the lifetime of idempotency keys, so that clocks may differ by it.
const keyMargin = time.Hour

// Keeper returns who decides at a time, of a store in which live says what is live.
func (r Retention) Keeper(now time.Time, live func(ObjectKey) bool) *Keeper {
	return &Keeper{retention: r, now: now, live: live, seen: map[change]bool{}}
}

// Keeper decides which revisions may go.
type Keeper struct {
	retention Retention
	now       time.Time
	live      func(ObjectKey) bool
	newer     int
	seen      map[change]bool // changes of live objects of which a newer revision was met
}

// change is a kind of change of an object.
type change struct {
	key    ObjectKey
	action string
}

// MayGo decides on one revision. It must be asked of every revision, from the newest to the oldest. The answer holds for ever: what comes
// later makes no revision needed again.
func (k *Keeper) MayGo(r *crossfadev1.Revision) bool {
	c := change{KeyOfRevision(r), r.GetAction()}
	last := k.live(c.key) && !k.seen[c]
	if last {
		k.seen[c] = true
	}
	newer, age := k.newer, k.now.Sub(r.GetTime().AsTime())
	k.newer++
	switch {
	case last, newer < k.retention.Least, age <= KeyLifetime+keyMargin:
		return false
	case k.retention.Most > 0 && newer >= k.retention.Most:
		return true
	default:
		return age > k.retention.Keep
	}
}
