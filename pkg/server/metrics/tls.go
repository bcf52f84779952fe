package metrics

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// TLS is what is known of certificates and of who was not let in by them.
type TLS struct {
	Ends           map[string]time.Time // when what is in a file expires first: "cert", "ca", "crl"
	ReloadFailures int64                // of certificates and of the settings file
	Refused        map[[2]string]int64  // connections, by listener and reason
	Proxies        map[string]int64     // streams and reports of proxies that may not be of the fleet that they name, by fleet
}

// ObserveTLS tells how certificates are. Labels are bounded: listeners and reasons by the code, fleets by the settings.
func (m *Metrics) ObserveTLS(source func() TLS) error {
	var errs [4]error
	var ends metric.Float64ObservableGauge
	var failures, refused, proxies metric.Int64ObservableCounter
	ends, errs[0] = m.meter.Float64ObservableGauge("tls_expiry_seconds", metric.WithDescription("Until what is in a file of TLS expires, or is due to be replaced: cert, ca, crl. Negative: since then."))
	failures, errs[1] = m.meter.Int64ObservableCounter("reload_failures_total", metric.WithDescription("Times that certificates or the settings file were bad when they changed; what there was before went on."))
	refused, errs[2] = m.meter.Int64ObservableCounter("tls_refused_total", metric.WithDescription("Connections that were not let in, by listener and reason."))
	proxies, errs[3] = m.meter.Int64ObservableCounter("proxies_refused_total", metric.WithDescription("Streams and reports of proxies whose certificate may not be of the fleet that they name; no fleet: one that no rule names."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := source()
		for file, end := range s.Ends {
			o.ObserveFloat64(ends, time.Until(end).Seconds(), labels("file", file))
		}
		o.ObserveInt64(failures, s.ReloadFailures)
		for of, n := range s.Refused {
			o.ObserveInt64(refused, n, labels("listener", of[0], "reason", of[1]))
		}
		for fleet, n := range s.Proxies {
			o.ObserveInt64(proxies, n, labels("fleet", fleet))
		}
		return nil
	}, ends, failures, refused, proxies)
	return err
}
