package semantics

// bug is a mistake that somebody could make in the translator, as a change of its source.
type bug struct {
	name     string
	file     string // in pkg/xds/translate
	from, to string // from stands there once
	tests    string // a regular expression; empty: the usual ones
}

// bugs are planted one at a time, and each must be caught.
var bugs = []bug{
	{name: "the shortest prefix goes first", file: "route.go", from: "cmp.Compare(len(b.prefix), len(a.prefix))", to: "cmp.Compare(len(a.prefix), len(b.prefix))"},
	{name: "the last pin goes first", file: "route.go", from: "&s.Pins[i]; p.Enabled", to: "&s.Pins[len(s.Pins)-1-i]; p.Enabled"},
	{name: "the switch of a pin has another's key", file: "route.go", from: "policy.PinKey(s.Name, p.Name)", to: "policy.PinKey(s.Name, p.Origin)"},
	{name: "a trailing dot is another host", file: "route.go", from: `out = append(out, h+".")`, to: `out = append(out, h+"..")`},
	{name: "a port in Host counts", file: "route.go", from: "IgnorePortInHostMatching: true", to: "IgnorePortInHostMatching: false"},
	{name: "hosts with the same first service share routes", file: "route.go", from: `return strings.Join(serviceNames(services), " ")`, to: `return serviceNames(services)[0]`},
	{name: "requests end after 15 s", file: "timeouts.go", from: "a.Timeout = dur(s.Timeouts.Request) //", to: "if a.Timeout = dur(s.Timeouts.Request); s.Timeouts.Request == 0 { a.Timeout = nil } //", tests: "^TestTimeouts$"},
	{name: "a limit for streams is the only one", file: "timeouts.go", from: "if s.Timeouts.Request == 0 || s.Timeouts.MaxStreamDuration == 0 && !speaksGRPC(s) {", to: "if s.Timeouts.Request >= 0 {", tests: "^TestTimeouts$"},
	{name: "prefixes end within a segment", file: "match.go", from: "RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}", to: "RouteMatch_Prefix{Prefix: prefix}"},
	{name: "present means absent for headers", file: "match.go", from: "HeaderMatcher_PresentMatch{PresentMatch: present}", to: "HeaderMatcher_PresentMatch{PresentMatch: !present}"},
	{name: "present means absent for parameters", file: "match.go", from: "QueryParameterMatcher_PresentMatch{PresentMatch: present}", to: "QueryParameterMatcher_PresentMatch{PresentMatch: !present}"},
	{name: "present means absent for cookies", file: "match.go", from: "InvertMatch: !present", to: "InvertMatch: present"},
	{name: "an exact value is a prefix", file: "match.go", from: "StringMatcher_Exact{Exact: m.Value}", to: `StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: m.Value + ".*"}}`},
	{name: "an expression is not anchored", file: "match.go", from: "RegexMatcher{Regex: expr}", to: `RegexMatcher{Regex: "(" + expr + ").*"}`},
	{name: "weights go to the wrong origin", file: "levers.go", from: "uint32(s.Split.Weights[o.Name])", to: "uint32(s.Split.Weights[s.Origins[len(s.Origins)-1-slices.IndexFunc(s.Origins, func(x policy.Origin) bool { return x.Name == o.Name })].Name])"},
	{name: "pins are on when off", file: "levers.go", from: "if p.Enabled {", to: "if !p.Enabled {"},
	{name: "weights have another service's key", file: "split.go", from: "policy.WeightKeyPrefix(s.Name)", to: "policy.WeightKeyPrefix(s.Primary)"},
	{name: "without levers the first origin has everything", file: "split.go", from: "case origin == s.Primary:", to: "case origin == s.Origins[0].Name:", tests: "^TestWithoutLevers"},
	{name: "weights in routes are the safe ones", file: "split.go", from: "case opts.InlineWeights:", to: "case false:"},
	{name: "sticky splits draw", file: "split.go", from: "if s.Split.Sticky != nil {", to: "if s.Split.Sticky == nil {"},
	{name: "the row of three begins with the primary", file: "split.go", from: "names[(i+2)%3], names[i], names[(i+1)%3]", to: "names[i], names[(i+1)%3], names[(i+2)%3]"},
	{name: "users are known by the wrong header", file: "sticky.go", from: "hashOnHeader(sticky.Header)", to: "hashOnHeader(keyHeader)"},
	{name: "the cookie is not the key that chose", file: "sticky.go", from: "literal(c.Name), freshKey, literal(c.Path)", to: `literal(c.Name), "%UNIQUE_ID%", literal(c.Path)`},
	{name: "an empty cookie is one", file: "sticky.go", from: `fullRegex(".+")`, to: `fullRegex(".*")`},
	{name: "headers of ours come in from outside", file: "manager.go", from: `removeHeaders("x-cf-"),`, to: ""},
	{name: "headers of Envoy's come in from outside", file: "manager.go", from: `removeHeaders("x-envoy-"),`, to: ""},
	{name: "one hop too many is believed", file: "manager.go", from: "uint32(fleet.TrustedHops)", to: "uint32(fleet.TrustedHops) + 1"},
	{name: "the PROXY protocol is not read", file: "listener.go", from: "if t.proxyProtocol {", to: "if false {"},
	{name: "WebSocket is refused", file: "manager.go", from: `UpgradeType: "websocket"`, to: `UpgradeType: "other"`},
	{name: "paths are cleaned up", file: "manager.go", from: "NormalizePath:                 no()", to: "NormalizePath:                 yes()"},
	{name: "the server is called envoy", file: "manager.go", from: "HttpConnectionManager_PASS_THROUGH", to: "HttpConnectionManager_OVERWRITE"},
	{name: "HTTP/1.0 is refused", file: "manager.go", from: "AcceptHttp_10:         true", to: "AcceptHttp_10:         false"},
	{name: "an offer of TLS in capitals is refused", file: "manager.go", from: "IgnoreCase: true", to: "IgnoreCase: false"},
	{name: "a malformed request ends its neighbours", file: "manager.go", from: "OverrideStreamErrorOnInvalidHttpMessage: yes()", to: "OverrideStreamErrorOnInvalidHttpMessage: no()", tests: "^TestAMalformedMessage"},
	{name: "a malformed answer ends its neighbours", file: "cluster.go", from: "OverrideStreamErrorOnInvalidHttpMessage: yes()", to: "OverrideStreamErrorOnInvalidHttpMessage: no()", tests: "^TestAMalformedMessage"},
}
