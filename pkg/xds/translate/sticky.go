package translate

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// keyHeader carries a fresh random key through the choice of a route, for clients without a cookie. The edge strips and sets it on
// every request, and the route configuration removes it before the origin sees it.
const keyHeader = "x-cf-key"

// freshKey is a format that gives every request a key of its own: when it began, in nanoseconds, and on which connection. It reads the same
// at every point of a request's life, so that the key which chose the origin is also the one in the cookie; Envoy's %UNIQUE_ID% does not.
const freshKey = "%START_TIME(%s%9f)%-%CONNECTION_ID%"

// hashPolicies says what of a request recognises the user. A request with none of it is drawn at random.
func hashPolicies(sticky *policy.Sticky) []*routev3.RouteAction_HashPolicy {
	switch {
	case sticky == nil:
		return nil
	case sticky.Cookie != nil:
		cookie := hashOnCookie(sticky.Cookie.Name)
		cookie.Terminal = true
		return []*routev3.RouteAction_HashPolicy{cookie, hashOnHeader(keyHeader)}
	case sticky.Header != "":
		return []*routev3.RouteAction_HashPolicy{hashOnHeader(sticky.Header)}
	default:
		return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
		}}}
	}
}

func hashOnHeader(name string) *routev3.RouteAction_HashPolicy {
	return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
		Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: name},
	}}
}

// hashOnCookie has no TTL: with one, Envoy makes the cookie itself, but only after it has picked the origin.
func hashOnCookie(name string) *routev3.RouteAction_HashPolicy {
	return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{
		Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: name},
	}}
}

// splitRoutes are the routes of a service's split under one prefix: one, or with a sticky cookie two, where the first takes clients that
// bring the cookie and the second gives one to those that do not.
func splitRoutes(s *policy.Service, prefix string, opts Options) []*routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: weightedClusters(s, opts)},
		HashPolicy:       hashPolicies(s.Split.Sticky),
	}
	limited(action, s)
	newRoute := func() *routev3.Route {
		return &routev3.Route{
			Name: s.Name, Match: prefixMatch(prefix), Action: &routev3.Route_Route{Route: action}, Metadata: routeMetadata(s, ""),
			TypedPerFilterConfig: timers(s),
		}
	}
	rest := newRoute()
	if s.Split.Sticky == nil || s.Split.Sticky.Cookie == nil {
		return []*routev3.Route{rest}
	}
	known := newRoute()
	known.Match.Cookies = []*routev3.CookieMatcher{{Name: s.Split.Sticky.Cookie.Name, StringMatch: notEmpty()}}
	rest.ResponseHeadersToAdd = []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: "set-cookie", Value: setCookie(s.Split.Sticky.Cookie)},
		AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
	}}
	return []*routev3.Route{known, rest}
}

// setCookie is the value of the Set-Cookie header, as a format of Envoy's.
func setCookie(c *policy.StickyCookie) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s=%s; Path=%s", literal(c.Name), freshKey, literal(c.Path))
	if c.TTL > 0 {
		fmt.Fprintf(&b, "; Max-Age=%d", int64(c.TTL.Seconds()))
	}
	b.WriteString("; HttpOnly; SameSite=Lax")
	return b.String()
}

// literal escapes what Envoy would read as the start of a command.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

func notEmpty() *matcherv3.StringMatcher { return fullRegex(".+") }
