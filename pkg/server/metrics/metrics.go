// Package metrics tells Prometheus what the control plane knows. Names and labels are an interface, and every label is bounded: by
// documents, by known proxies' fleets, or by a list in the code.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Metrics counts what is told to it, and asks a [Source] for the rest when it is scraped.
type Metrics struct {
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	meter    metric.Meter

	pushAck    metric.Float64Histogram
	nacks      metric.Int64Counter
	rollback   metric.Float64Histogram
	storeWrite metric.Float64Histogram
	denied     metric.Int64Counter
}

// seconds are bounds of histograms from 1 ms to 10 s.
var seconds = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)

// maxSeries bounds the series of one metric; what is beyond goes into one series with otel_metric_overflow="true".
const maxSeries = 50_000

// New returns metrics that know nothing yet.
func New() (*Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry), otelprometheus.WithNamespace("crossfade"),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo(),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithoutSuffixes), // names stay as they are written below
	)
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(maxSeries))
	m := &Metrics{provider: provider, registry: registry, meter: provider.Meter("crossfade")}
	var errs [5]error
	m.pushAck, errs[0] = m.meter.Float64Histogram("push_ack_seconds", seconds,
		metric.WithDescription("From the call of a change to the acknowledgement of the last connected proxy, of changes that waited for it."))
	m.nacks, errs[1] = m.meter.Int64Counter("nacks_total", metric.WithDescription("Responses that a proxy refused."))
	m.rollback, errs[2] = m.meter.Float64Histogram("rollback_seconds", seconds,
		metric.WithDescription("From the call of a rollback to: acked, the last acknowledgement; last_request, the last request at an origin that should get none, where proven; answered."))
	m.storeWrite, errs[3] = m.meter.Float64Histogram("store_write_seconds", seconds, metric.WithDescription("Time to make a change durable, failed ones included."))
	m.denied, errs[4] = m.meter.Int64Counter("api_denied_total",
		metric.WithDescription("Calls that were refused for want of a right, by method and reason: no_certificate, no_name (in it), no_role (that would do), no_rule (for the method). Who it was is in the history."))
	return m, errors.Join(errs[:]...)
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError, Registry: m.registry})
}

// Nack counts a refused response of a short type, for example "Listener".
func (m *Metrics) Nack(fleet, kind string) {
	m.nacks.Add(context.Background(), 1, metric.WithAttributes(attribute.String("fleet", fleet), attribute.String("type", kind)))
}

// Denied counts a call that was refused for want of a right.
func (m *Metrics) Denied(method, reason string) {
	m.denied.Add(context.Background(), 1, metric.WithAttributes(attribute.String("method", method), attribute.String("reason", reason)))
}

// StoreWrite notes how long the store took for a change.
func (m *Metrics) StoreWrite(took time.Duration) {
	m.storeWrite.Record(context.Background(), took.Seconds())
}

// Changed notes what became of a change, by a method of the API.
func (m *Metrics) Changed(method string, changes []*crossfadev1.Change, took time.Duration) {
	ctx := context.Background()
	fleets := map[string]bool{}
	for _, c := range changes {
		if c.GetAction() == "none" {
			continue
		}
		for _, f := range fleetsOf(c) {
			if f.GetAcked() > 0 && f.GetAcked() == f.GetConnected() && !fleets[f.GetName()] {
				fleets[f.GetName()] = true
				m.pushAck.Record(ctx, f.GetAckMs()/1e3, metric.WithAttributes(attribute.String("fleet", f.GetName())))
				if method == "Rollback" {
					m.rollback.Record(ctx, f.GetAckMs()/1e3, stage("acked"))
				}
			}
		}
		if p := c.GetProof(); method == "Rollback" && p.GetState() == "proven" {
			m.rollback.Record(ctx, p.GetSinceMs()/1e3, stage("last_request"))
		}
	}
	if method == "Rollback" && len(changes) > 0 {
		m.rollback.Record(ctx, took.Seconds(), stage("answered"))
	}
}

// fleetsOf returns the state of each fleet of a change.
func fleetsOf(c *crossfadev1.Change) []*crossfadev1.FleetState {
	if len(c.GetFleets()) == 0 {
		return []*crossfadev1.FleetState{c.GetFleet()}
	}
	var out []*crossfadev1.FleetState
	for _, f := range c.GetFleets() {
		out = append(out, f.GetFleet())
	}
	return out
}

func stage(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("stage", name))
}
