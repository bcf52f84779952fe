package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// prefixMatch matches paths by whole segments: "/api" takes /api and /api/x, not /apix.
func prefixMatch(prefix string) *routev3.RouteMatch {
	if prefix == "/" {
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	}
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}
}

// addCondition narrows a route to the requests that a pin wants.
func addCondition(to *routev3.RouteMatch, m policy.Match) {
	present := m.Value == "true"
	switch m.On {
	case policy.OnHeader:
		to.Headers = append(to.Headers, headerMatcher(m, present))
	case policy.OnQuery:
		to.QueryParameters = append(to.QueryParameters, queryMatcher(m, present))
	case policy.OnCookie:
		to.Cookies = append(to.Cookies, cookieMatcher(m, present))
	}
}

func headerMatcher(m policy.Match, present bool) *routev3.HeaderMatcher {
	h := &routev3.HeaderMatcher{Name: m.Name}
	if m.Condition == policy.Present {
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: present}
	} else {
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatcher(m)}
	}
	return h
}

func queryMatcher(m policy.Match, present bool) *routev3.QueryParameterMatcher {
	q := &routev3.QueryParameterMatcher{Name: m.Name}
	if m.Condition == policy.Present {
		q.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: present}
	} else {
		q.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatcher(m)}
	}
	return q
}

// cookieMatcher has no condition of its own for presence: any value matches, and absence is its opposite.
func cookieMatcher(m policy.Match, present bool) *routev3.CookieMatcher {
	if m.Condition == policy.Present {
		return &routev3.CookieMatcher{Name: m.Name, StringMatch: fullRegex(".*"), InvertMatch: !present}
	}
	return &routev3.CookieMatcher{Name: m.Name, StringMatch: stringMatcher(m)}
}

func stringMatcher(m policy.Match) *matcherv3.StringMatcher {
	switch m.Condition {
	case policy.Prefix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: m.Value}}
	case policy.Regex:
		return fullRegex(m.Value)
	default:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: m.Value}}
	}
}

// fullRegex matches the whole value: that is Envoy's only way.
func fullRegex(expr string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: expr}}}
}
