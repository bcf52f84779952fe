package telemetry

import (
	"testing"
	"time"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// TestCertificateExpiry: of all certificates in a report the first end counts, a later report replaces it, and one in several messages is one report.
func TestCertificateExpiry(t *testing.T) {
	tel := New(Options{})
	conn := serve(t, tel)
	ends := func(name string, at int64) *metricsv1.Metric {
		return gaugeMetric(name+".expiration_unix_time_seconds", at)
	}
	listener, cluster := "listener.10.0.0.1_443.ssl.certificate.pair|/etc/tls/a.b.pem|/etc/tls/a.key", "cluster.ssl.certificate.pair|/etc/tls/c.pem|/etc/tls/c.key"
	for i, c := range []struct {
		what   string
		report []*metricsv1.Metric
		want   int64
	}{
		{"none", []*metricsv1.Metric{gaugeMetric("server.uptime", 1)}, 0},
		{"the first of several", []*metricsv1.Metric{ends(listener, 5000), ends(cluster, 4000), ends("cluster.ssl.certificate.x", 6000)}, 4000},
		{"not there yet", []*metricsv1.Metric{ends(listener, 5000), ends(cluster, 0)}, 5000},
		{"none any more", []*metricsv1.Metric{gaugeMetric("server.uptime", 1)}, 0},
		{"others", []*metricsv1.Metric{gaugeMetric("cluster.ssl.certificate.x.other", 7), gaugeMetric("listener.x.expiration_unix_time_seconds", 7)}, 0},
	} {
		for _, m := range c.report {
			m.GetGauge().GetDataPoints()[0].TimeUnixNano = second2 + uint64(i)
		}
		if err := export(conn, dataOf(c.report...), ProxyMetadata, "p1", FleetMetadata, "default"); err != nil {
			t.Fatal(err)
		}
		got := tel.CertificateExpiry("default", "p1")
		if c.want == 0 && !got.IsZero() || c.want > 0 && !got.Equal(time.Unix(c.want, 0)) {
			t.Errorf("%s: %s", c.what, got)
		}
	}
	for _, at := range []int64{3000, 2000, 9000} { // with one time: pieces of a report
		if err := export(conn, dataOf(ends(listener, at)), ProxyMetadata, "p2", FleetMetadata, "default"); err != nil {
			t.Fatal(err)
		}
	}
	if got := tel.CertificateExpiry("default", "p2"); !got.Equal(time.Unix(2000, 0)) {
		t.Errorf("in several messages: %s", got)
	}
	if got := tel.CertificateExpiry("other", "p1"); !got.IsZero() {
		t.Errorf("of nobody: %s", got)
	}
}
