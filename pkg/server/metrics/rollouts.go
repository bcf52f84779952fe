package metrics

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// observeRollouts tells in which state the last rollout of each service is.
func (m *Metrics) observeRollouts(source Source) error {
	state, err := m.meter.Int64ObservableGauge("rollout_state",
		metric.WithDescription("1 for the state that the rollout of a service is in: Pending, Progressing, Baking, AwaitingGate, Paused, Frozen, RollingBack, RolledBack, Completed or Aborted."))
	if err != nil {
		return err
	}
	_, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		last := map[string]string{} // the state that counts, by service
		begun := map[string]int64{}
		for _, s := range source.Rollouts("") {
			at := s.GetStarted().AsTime().UnixNano()
			if _, seen := last[s.GetService()]; !seen || at > begun[s.GetService()] {
				last[s.GetService()], begun[s.GetService()] = s.GetState(), at
			}
		}
		for service, is := range last {
			o.ObserveInt64(state, 1, labels("service", service, "state", is))
		}
		return nil
	}, state)
	return err
}
