package metrics

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// Statistics are counters of what takes the statistics of proxies, since the process began.
type Statistics struct {
	Flushes, LoadReports uint64            // messages
	Bytes                uint64            // of flushes
	Waiting              int               // messages that have come and are not read yet
	NoPlace              map[string]uint64 // what messages had and there was no place for, by what
	Refused              map[string]uint64 // messages by reason
}

// ObserveStatistics asks source at each scrape.
func (m *Metrics) ObserveStatistics(source func() Statistics) error {
	var errs [5]error
	var messages, bytes, refused, noPlace metric.Int64ObservableCounter
	var waiting metric.Int64ObservableGauge
	messages, errs[0] = m.meter.Int64ObservableCounter("statistics_messages_total", metric.WithDescription("Messages of proxies with their statistics: flush, each some seconds, and load_report, during changes and rollouts."))
	bytes, errs[1] = m.meter.Int64ObservableCounter("statistics_bytes_total", metric.WithDescription("Bytes of the flushes of proxies."))
	refused, errs[2] = m.meter.Int64ObservableCounter("statistics_refused_total",
		metric.WithDescription("Messages of proxies that were not taken: malformed, nameless, too_large, too_many (proxies), stranger (its certificate), busy (several of that connection wait), abandoned (it hung up meanwhile)."))
	waiting, errs[3] = m.meter.Int64ObservableGauge("statistics_waiting", metric.WithDescription("Flushes and load reports that have come and are not read yet: more than the proxies of a second, and the control plane has too little CPU for its fleet."))
	noPlace, errs[4] = m.meter.Int64ObservableCounter("statistics_no_place_total",
		metric.WithDescription("What flushes had and there was no place for: cluster (its requests), latency (its histogram; the requests are counted)."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := source()
		o.ObserveInt64(messages, int64(s.Flushes), labels("kind", "flush"))
		o.ObserveInt64(messages, int64(s.LoadReports), labels("kind", "load_report"))
		o.ObserveInt64(bytes, int64(s.Bytes))
		o.ObserveInt64(waiting, int64(s.Waiting))
		for reason, n := range s.Refused {
			o.ObserveInt64(refused, int64(n), labels("reason", reason))
		}
		for what, n := range s.NoPlace {
			o.ObserveInt64(noPlace, int64(n), labels("what", what))
		}
		return nil
	}, messages, bytes, refused, noPlace, waiting)
	return err
}
