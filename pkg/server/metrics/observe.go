package metrics

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Source is asked when metrics are scraped: a control.Controller.
type Source interface {
	List(fleet string) []*crossfadev1.ServiceStatus
	Proxies(fleet string) []*crossfadev1.Proxy
	AllOrigins() []*crossfadev1.OriginStatus
	Mirrors(service string) []*crossfadev1.MirrorStatus
	MirrorReport(name string) (*crossfadev1.MirrorReport, error)
	Rollouts(service string) []*crossfadev1.RolloutStatus
	Revision() int64
}

// Requests is how many answers the requests to one origin got in one fleet since the process began.
type Requests struct {
	Fleet, Service, Origin string
	Class                  [6]uint64 // by the first digit of the status
	Hidden                 uint64    // failed there, and were answered by the other origin
}

// Observe asks source, requests and calls at each scrape. Calls are how often AWS was asked for endpoints since the process began, by action.
func (m *Metrics) Observe(source Source, requests func() []Requests, calls func() map[string]int64) error {
	if err := errors.Join(m.observeEndpoints(source, calls), m.observeMirrors(source), m.observeRollouts(source), m.observeCertificates(source)); err != nil {
		return err
	}
	var errs [5]error
	var proxies, revision, weight metric.Int64ObservableGauge
	var total, hidden metric.Int64ObservableCounter
	proxies, errs[0] = m.meter.Int64ObservableGauge("proxies", metric.WithDescription("Proxies by state, lost ones of the last day included; see `shadowctl fleet`."))
	revision, errs[1] = m.meter.Int64ObservableGauge("revision", metric.WithDescription("intent: the last revision; acked: the lowest that a connected proxy has acknowledged everything of."))
	weight, errs[2] = m.meter.Int64ObservableGauge("split_weight", metric.WithDescription("Weight of an origin in basis points (0.01 %)."))
	total, errs[3] = m.meter.Int64ObservableCounter("requests_total", metric.WithDescription("Requests by origin and class of the answer, as the proxies report them."))
	hidden, errs[4] = m.meter.Int64ObservableCounter("hidden_failures_total", metric.WithDescription("Requests that failed at an origin and were answered by the other one, see retries.otherOrigin."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		observeProxies(o, proxies, revision, source)
		sums := map[[2]string]*Requests{}
		for _, s := range source.List("") {
			for origin, w := range s.GetSplit() {
				o.ObserveInt64(weight, int64(w), labels("service", s.GetName(), "origin", origin))
				sums[[2]string{s.GetName(), origin}] = &Requests{}
			}
		}
		addRequests(sums, requests())
		for by, sum := range sums {
			for class := 1; class <= 5; class++ {
				o.ObserveInt64(total, int64(sum.Class[class]), labels("service", by[0], "origin", by[1], "class", strconv.Itoa(class)+"xx"))
			}
			o.ObserveInt64(hidden, int64(sum.Hidden), labels("service", by[0], "origin", by[1]))
		}
		return nil
	}, proxies, revision, weight, total, hidden)
	return err
}

// addRequests sums over the fleets. Clusters of no document are left out: proxies may name whatever they want.
func addRequests(sums map[[2]string]*Requests, requests []Requests) {
	for _, r := range requests {
		if sum := sums[[2]string{r.Service, r.Origin}]; sum != nil {
			for class, n := range r.Class {
				sum.Class[class] += n
			}
			sum.Hidden += r.Hidden
		}
	}
}

// observeProxies counts proxies by fleet and state.
func observeProxies(o metric.Observer, proxies, revision metric.Int64Observable, source Source) {
	counts := map[[2]string]int64{}
	acked := source.Revision()
	o.ObserveInt64(revision, acked, labels("kind", "intent"))
	for _, p := range source.Proxies("") {
		counts[[2]string{p.GetFleet(), p.GetState()}]++
		if p.GetConnected() {
			acked = min(acked, p.GetAckedRevision())
		}
	}
	o.ObserveInt64(revision, acked, labels("kind", "acked"))
	for by, n := range counts {
		o.ObserveInt64(proxies, n, labels("fleet", by[0], "state", by[1]))
	}
}

// labels makes attributes of names and values.
func labels(pairs ...string) metric.MeasurementOption {
	kv := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		kv = append(kv, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributes(kv...)
}
