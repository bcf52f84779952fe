package metrics

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// observeEndpoints tells how many endpoints origins have, and how old that is.
func (m *Metrics) observeEndpoints(source Source, calls func() map[string]int64) error {
	var errs [4]error
	var endpoints, failing metric.Int64ObservableGauge
	var age metric.Float64ObservableGauge
	var asked metric.Int64ObservableCounter
	endpoints, errs[0] = m.meter.Int64ObservableGauge("endpoints", metric.WithDescription("Endpoints of an origin by state; held: its source no longer names them, which is not believed yet."))
	age, errs[1] = m.meter.Float64ObservableGauge("discovery_age_seconds", metric.WithDescription("Since the source of an origin's endpoints last answered."))
	failing, errs[2] = m.meter.Int64ObservableGauge("discovery_failing", metric.WithDescription("1 while the source of an origin's endpoints cannot be asked; code says why."))
	asked, errs[3] = m.meter.Int64ObservableCounter("discovery_calls_total", metric.WithDescription("Calls of AWS to find endpoints, by action; retries count."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range source.AllOrigins() {
			if s.GetState() == "resolved" {
				continue // nobody here knows how many there are
			}
			of := []string{"service", s.GetService(), "origin", s.GetOrigin()}
			for state, n := range map[string]int32{"ready": s.GetReady(), "draining": s.GetDraining(), "held": s.GetHeld()} {
				o.ObserveInt64(endpoints, int64(n), labels(append(of, "state", state)...))
			}
			if s.GetAgeMs() > 0 {
				o.ObserveFloat64(age, s.GetAgeMs()/1e3, labels(of...))
			}
			if e := s.GetError(); e != nil {
				o.ObserveInt64(failing, 1, labels(append(of, "code", e.GetCode())...))
			}
		}
		for action, n := range calls() {
			o.ObserveInt64(asked, n, labels("action", action))
		}
		return nil
	}, endpoints, age, failing, asked)
	return err
}
