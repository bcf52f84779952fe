package telemetry

import "strings"

// metric is a statistic that counts here.
type metric int

const (
	notOurs metric = iota
	uptime         // gauges
	overrides
	expiry  // of a certificate, in Unix seconds
	started // counters of clusters
	queued
	overflow
	noneHealthy
	connectFail
	reset
	timeout
	hidden
	class
	latency // histogram of clusters, in milliseconds
)

func (m metric) isGauge() bool { return m == uptime || m == overrides || m == expiry }

// metricNamed knows the names that Envoy gives, tags taken out of them.
func metricNamed(name string) metric {
	switch name {
	case "cluster.upstream_rq_time":
		return latency
	case "cluster.upstream_rq_total":
		return started
	case "cluster.upstream_rq_xx":
		return class
	case "cluster.upstream_rq_pending_total":
		return queued
	case "cluster.upstream_rq_pending_overflow", "cluster.upstream_rq_active_overflow":
		return overflow
	case "cluster.upstream_cx_none_healthy":
		return noneHealthy
	case "cluster.upstream_cx_connect_fail":
		return connectFail
	case "cluster.upstream_rq_rx_reset":
		return reset
	case "cluster.upstream_rq_timeout":
		return timeout
	case "cluster.upstream_rq_retry_success":
		return hidden
	case "server.uptime":
		return uptime
	case "runtime.admin_overrides_active":
		return overrides
	}
	if strings.HasSuffix(name, expirySuffix) && strings.Contains(name, expiryInfix) {
		return expiry
	}
	return notOurs
}

// What is around the name of a certificate in the name of the statistic that says when it ends. Which certificates count is said in the bootstrap.
const (
	expiryInfix  = ".ssl.certificate."
	expirySuffix = ".expiration_unix_time_seconds"
)
