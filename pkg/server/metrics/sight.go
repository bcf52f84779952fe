package metrics

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// HandlerFor answers scrapes with what whoever asks may see. Sees returns which services these are; nil: all.
func (m *Metrics) HandlerFor(sees func(*http.Request) func(service string) bool) http.Handler {
	all := m.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		may := sees(r)
		if may == nil {
			all.ServeHTTP(w, r)
			return
		}
		promhttp.HandlerFor(seen(m.registry, may), promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
}

// seen leaves out what is of other services, and of mirrors, which do not say of which service they are.
func seen(from prometheus.Gatherer, may func(service string) bool) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := from.Gather()
		for _, f := range families {
			f.Metric = slices.DeleteFunc(f.Metric, func(m *dto.Metric) bool {
				return slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
					return l.GetName() == "mirror" || l.GetName() == "service" && !may(l.GetValue())
				})
			})
		}
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return len(f.GetMetric()) == 0 }), err
	})
}
