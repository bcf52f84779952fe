package metrics

import (
	"context"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Store is a store whose commits are timed.
func (m *Metrics) Store(s store.Store) store.Store { return &timed{s, m} }

type timed struct {
	store.Store
	metrics *Metrics
}

// Commit implements store.Store.
func (t *timed) Commit(ctx context.Context, c store.Commit) ([]*crossfadev1.Revision, bool, error) {
	began := time.Now()
	defer func() { t.metrics.StoreWrite(time.Since(began)) }()
	return t.Store.Commit(ctx, c)
}
