package metrics

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// observeMirrors tells what became of the copies of each experiment. The results of one add up to the copies that came.
func (m *Metrics) observeMirrors(source Source) error {
	total, err := m.meter.Int64ObservableCounter("mirror_total",
		metric.WithDescription("Copies of requests by what became of them, dropped ones by cause; from 0 again when an experiment starts anew."))
	if err != nil {
		return err
	}
	_, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range source.Mirrors("") {
			r, err := source.MirrorReport(s.GetMirror())
			if err != nil {
				continue // it has just been deleted
			}
			for result, n := range mirrorResults(r) {
				o.ObserveInt64(total, n, labels("mirror", s.GetMirror(), "result", result))
			}
		}
		return nil
	}, total)
	return err
}

func mirrorResults(r *crossfadev1.MirrorReport) map[string]int64 {
	out := map[string]int64{
		"compared": r.GetCompared(), "unrepresentative": r.GetUnrepresentative(), "target_failed": r.GetTargetFailed(), "answered": r.GetAnswered(),
	}
	for cause, n := range r.GetDropped() {
		out["dropped_"+cause] = n
	}
	return out
}
