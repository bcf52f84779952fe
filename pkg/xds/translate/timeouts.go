package translate

import (
	"slices"
	"strconv"
	"time"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const (
	// requestTimer is the filter, off by default, by which a route gives its requests a timeout where Envoy leaves out that of the route.
	requestTimer = "envoy.filters.http.header_mutation"
	// timerHeader is how Envoy's router is told a timeout, in milliseconds. It takes it away; the edge has removed what clients said.
	timerHeader = "x-envoy-upstream-rq-timeout-ms"
)

// limited gives an action the limits of its service. Once a route has limits for streams, Envoy leaves out its timeout (TestTimeoutsOfStreams in
// test/probes): [timers] then says it again.
func limited(a *routev3.RouteAction, s *policy.Service) {
	a.Timeout = dur(s.Timeouts.Request) // 0 is none; absent would be 15 s
	a.IdleTimeout = dur(s.Timeouts.Idle)
	if s.Timeouts.MaxStreamDuration > 0 {
		a.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: dur(s.Timeouts.MaxStreamDuration)}
	}
	if speaksGRPC(s) {
		// A call of gRPC ends when its client's time is up, here as well: else the application's own end of it, a reset, could come first,
		// which is UNAVAILABLE and not DEADLINE_EXCEEDED. Its limit is the service's; 0 is none.
		if a.MaxStreamDuration == nil {
			a.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{}
		}
		a.MaxStreamDuration.GrpcTimeoutHeaderMax = dur(s.Timeouts.MaxStreamDuration)
	}
}

// speaksGRPC says whether a service may be called by gRPC.
func speaksGRPC(s *policy.Service) bool {
	return slices.ContainsFunc(s.Origins, func(o policy.Origin) bool { return o.Protocol == policy.HTTP2 })
}

// timers is what the routes of a service say to filters: nothing, or the timeout of its requests where it has limits for streams as well.
func timers(s *policy.Service) map[string]*anypb.Any {
	if s.Timeouts.Request == 0 || s.Timeouts.MaxStreamDuration == 0 && !speaksGRPC(s) {
		return nil
	}
	return map[string]*anypb.Any{requestTimer: packed(&headermutationv3.HeaderMutationPerRoute{Mutations: &headermutationv3.Mutations{
		RequestMutations: []*mutationrulesv3.HeaderMutation{setHeader(timerHeader, strconv.FormatInt(int64(s.Timeouts.Request/time.Millisecond), 10))},
	}})}
}

// timer is the filter; requests of routes that say nothing to it do not pass it.
func timer() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name: requestTimer, Disabled: true,
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&headermutationv3.HeaderMutation{})},
	}
}
