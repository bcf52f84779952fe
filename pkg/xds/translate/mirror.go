package translate

import (
	"regexp"
	"slices"
	"strings"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// credentials are taken out of copies, unless the mirror keeps them.
var credentials = []string{"authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-api-key"}

// uploads are methods whose requests have a body as a rule. One without a declared length may be of any length: it is not copied.
var uploads = []string{"PATCH", "POST", "PUT"}

// copying returns the variants of a live route that have requests copied, to stand before it. Whether Transfer-Encoding is there cannot
// be seen when a route is chosen; a declared length can, and a type without a length says that there is a body.
func copying(s *policy.Service, prefix string, live *routev3.Route) []*routev3.Route {
	m := s.Mirror
	if m == nil {
		return nil
	}
	action := proto.CloneOf(live.GetRoute())
	action.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{mirrorPolicy(s)}
	var out []*routev3.Route
	add := func(path func(*routev3.RouteMatch), headers ...*routev3.HeaderMatcher) {
		r := proto.CloneOf(live)
		r.Action = &routev3.Route_Route{Route: action}
		path(r.Match)
		r.Match.Headers = append(r.Match.Headers, headers...)
		r.Match.Headers = append(r.Match.Headers, copyable()...)
		for _, h := range m.Headers {
			addCondition(r.Match, h)
		}
		out = append(out, r)
	}
	bodiless := slices.DeleteFunc(slices.Clone(m.Methods), func(method string) bool { return slices.Contains(uploads, method) })
	for _, p := range narrowed(prefix, m.PathPrefixes) {
		at := func(to *routev3.RouteMatch) { to.PathSpecifier = prefixMatch(p).PathSpecifier }
		if len(bodiless) > 0 {
			add(at, oneOf(":method", bodiless), absent("content-length"), absent("content-type"))
		}
		if len(m.Methods) > 0 {
			add(at, oneOf(":method", m.Methods), declaredLength(), other(grpcMessage()))
		}
	}
	if methods := unaryMethods(prefix, m); len(methods) > 0 {
		at := func(to *routev3.RouteMatch) { to.PathSpecifier = onePath(methods) }
		add(at, oneOf(":method", []string{"POST"}), grpcMessage())
	}
	return out
}

// mirrorPolicy copies a share of the requests, which is a lever, without credentials, and marks the copies.
func mirrorPolicy(s *policy.Service) *routev3.RouteAction_RequestMirrorPolicy {
	m := s.Mirror
	p := &routev3.RouteAction_RequestMirrorPolicy{
		Cluster: policy.ComparatorCluster,
		RuntimeFraction: &corev3.RuntimeFractionalPercent{
			DefaultValue: &typev3.FractionalPercent{Denominator: typev3.FractionalPercent_MILLION},
			RuntimeKey:   policy.MirrorKey(s.Name, m.Name),
		},
		DisableShadowHostSuffixAppend: true,
	}
	for _, name := range credentials {
		if !slices.Contains(m.Keep, name) {
			p.RequestHeadersMutations = append(p.RequestHeadersMutations, &mutationrulesv3.HeaderMutation{
				Action: &mutationrulesv3.HeaderMutation_Remove{Remove: name},
			})
		}
	}
	p.RequestHeadersMutations = append(p.RequestHeadersMutations,
		setHeader(policy.HeaderShadow, literal(m.Name)),
		setHeader(policy.HeaderMirror, literal(m.Name+"/"+m.Run.ID)),
		setHeader(policy.HeaderProxy, nodeID),
		setHeader(policy.HeaderSent, "%START_TIME(%s.%3f)%"),
	)
	return p
}

// copyable is what every copied request has to be: not a copy itself, by whomever, and nothing that lasts.
func copyable() []*routev3.HeaderMatcher {
	return []*routev3.HeaderMatcher{
		absent(policy.HeaderShadow),
		absent("upgrade"),
		other(&routev3.HeaderMatcher{Name: "accept", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Contains{Contains: "text/event-stream"}, IgnoreCase: true,
		}}}),
	}
}

// other matches where m does not, which is also where the header is missing.
func other(m *routev3.HeaderMatcher) *routev3.HeaderMatcher {
	m.InvertMatch, m.TreatMissingHeaderAsEmpty = true, true
	return m
}

func absent(name string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: false}}
}

// declaredLength is a length up to the longest body that is copied.
func declaredLength() *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: "content-length", HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{
		RangeMatch: &typev3.Int64Range{Start: 0, End: policy.MaxMirrorBody + 1}, // the end is not part of it
	}}
}

func grpcMessage() *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: "content-type", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "application/grpc"}},
	}}
}

// nodeID is a format of Envoy's for what a proxy is called.
const nodeID = "%CEL(xds.node.id)%"

// oneOf matches a header that is one of some values, letter by letter.
func oneOf(name string, values []string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: fullRegex(alternatives(values))}}
}

func onePath(paths []string) *routev3.RouteMatch_SafeRegex {
	return &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: alternatives(paths)}}
}

func alternatives(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(quoted, "|")
}

// narrowed returns what a mirror of some prefixes wants under a prefix of its service: all of it, longer prefixes of it, or nothing.
func narrowed(prefix string, wanted []string) []string {
	if len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return covers(w, prefix) }) {
		return []string{prefix}
	}
	var out []string
	for _, w := range slices.Sorted(slices.Values(wanted)) {
		if covers(prefix, w) && !slices.ContainsFunc(out, func(shorter string) bool { return covers(shorter, w) }) {
			out = append(out, w)
		}
	}
	return out
}

// unaryMethods returns the paths of the gRPC methods that are copied and are under a prefix of the service.
func unaryMethods(prefix string, m *policy.Mirror) (paths []string) {
	for _, path := range m.GRPCMethods {
		if slices.ContainsFunc(narrowed(prefix, m.PathPrefixes), func(p string) bool { return covers(p, path) }) {
			paths = append(paths, path)
		}
	}
	return paths
}

// covers says whether a path is a prefix's, by whole segments.
func covers(prefix, path string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
}
