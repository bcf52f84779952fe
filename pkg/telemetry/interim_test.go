package telemetry_test

import "strings"

// toOTLP replaces the sink of the bootstrap.
func toOTLP(b, id string) []byte {
	b = strings.Replace(b, "      patterns:\n", "      patterns:\n      - safe_regex: {regex: 'cluster\\.xds\\.upstream_rq_total'}\n      - safe_regex: {regex: 'cluster\\.[^.]+/[^.]+\\.upstream_rq_active_overflow'}\n", 1)
	from := strings.Index(b, "- name: envoy.stat_sinks.metrics_service")
	if from < 0 {
		return []byte(b)
	}
	to := strings.Index(b, "deferred_stat_options")
	return []byte(b[:from] + `- name: envoy.stat_sinks.open_telemetry
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig
    grpc_service:
      envoy_grpc: {cluster_name: xds}
      initial_metadata:
      - {key: x-crossfade-proxy, value: ` + id + `}
      - {key: x-crossfade-fleet, value: default}
    report_counters_as_deltas: true
    report_histograms_as_deltas: true
    emit_tags_as_attributes: true
    use_tag_extracted_name: true

` + b[to:])
}
