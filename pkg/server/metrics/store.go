package metrics

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

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

// ObserveStore asks, at each scrape, how large the store's file is in bytes, and which share of it holds nothing. An error leaves both out.
func (m *Metrics) ObserveStore(usage func() (bytes int64, free float64, err error)) error {
	size, err := m.meter.Int64ObservableGauge("store_bytes", metric.WithDescription("Size of the store's file in bytes."))
	if err != nil {
		return err
	}
	share, err := m.meter.Float64ObservableGauge("store_free_ratio", metric.WithDescription("Share of the store's file that holds nothing, 0 to 1. It is used before the file grows; `xds-server compact` gives it back."))
	if err != nil {
		return err
	}
	_, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		bytes, free, err := usage()
		if err != nil {
			return nil //nolint:nilerr // a page that is being written is read at the next scrape
		}
		o.ObserveInt64(size, bytes)
		o.ObserveFloat64(share, free)
		return nil
	}, size, share)
	return err
}
