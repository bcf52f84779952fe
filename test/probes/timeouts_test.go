package probes

import "testing"

// TestTimeoutsOfStreams: what becomes of the timeout of a route that has a limit for streams.
func TestTimeoutsOfStreams(t *testing.T) {
	const (
		rests   = "translate.limited and timers: a service with both limits says the one of requests by a header"
		types   = `"@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`
		header  = `header: {key: x-envoy-upstream-rq-timeout-ms, value: "300"}`
		limits  = `cluster: a, timeout: 0.3s, max_stream_duration: {max_stream_duration: 60s}`
		slow    = `bytes=1&delay=1500ms`
		filters = `{http_filters: [{name: timer, disabled: true, typed_config: {` + types + `}},
			{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}`
	)
	each(t, setup{
		origins: []string{"a"}, manager: filters,
		routes: `[
			{match: {prefix: /alone}, route: {cluster: a, timeout: 0.3s}},
			{match: {prefix: /both}, route: {` + limits + `}},
			{match: {prefix: /grpc}, route: {cluster: a, timeout: 0.3s, max_stream_duration: {grpc_timeout_header_max: 0s}}},
			{match: {prefix: /route}, route: {` + limits + `}, request_headers_to_add: [{` + header + `}]},
			{match: {prefix: /filter}, route: {` + limits + `}, typed_per_filter_config: {timer: {` + types + `PerRoute, mutations: {request_mutations: [{append: {` + header + `}}]}}}},
			{match: {prefix: /}, route: {cluster: a}}]`,
	}, func(b *bench) {
		b.fact("max_stream_duration of a route switches its timeout off", rests, func(b *bench) {
			same(b, "with the timeout alone", b.get("/alone", "x-answer: "+slow).String(), "504")
			same(b, "with both", b.get("/both", "x-answer: "+slow).String(), "200 a")
			same(b, "with one for deadlines of gRPC", b.get("/grpc", "x-answer: "+slow).String(), "200 a")
		})
		b.fact("x-envoy-upstream-rq-timeout-ms sets it again where a filter that the route has switched on says it, and goes no further", rests, func(b *bench) {
			same(b, "from a filter", b.get("/filter", "x-answer: "+slow).String(), "504")
			quick := b.get("/filter")
			same(b, "in time", quick.String(), "200 a")
			same(b, "lines of it at the origin", len(quick.saw.Get("x-envoy-upstream-rq-timeout-ms")), 0)
		})
		b.fact("a header that the route itself adds comes too late for that", rests, func(b *bench) {
			same(b, "from the route", b.get("/route", "x-answer: "+slow).String(), "200 a")
		})
	})
}
