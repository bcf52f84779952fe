package control

import (
	"context"
	"iter"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// revisions are those of an object, of all for the zero key, newest first. They are read so many at a time, and end with the first error.
func (c *Controller) revisions(ctx context.Context, key store.ObjectKey, page int) iter.Seq2[*crossfadev1.Revision, error] {
	return func(yield func(*crossfadev1.Revision, error) bool) {
		for before := int64(0); ; {
			records, err := c.store.History(ctx, store.HistoryQuery{Key: key, Before: before, Limit: page})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
				before = r.GetRevision()
			}
			if len(records) < page {
				return
			}
		}
	}
}
