package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// badServices is everything that a document can have wrong. The sentences are in testdata/errors.golden.
func badServices() []badService {
	return slices.Concat(badHeads(), badHosts(), badPrefixes(), badOrigins(), badEndpoints(), badSources(), badTLS(), badHealth(), badSplits(), badPins(), badTimes())
}

func list(code, field string) []string { return []string{code + " " + field} }

func badHeads() []badService {
	return []badService{
		{"empty document", func(d *crossfadev1.Service) { *d = crossfadev1.Service{} }, []string{
			"api_version apiVersion", "kind kind", "name_missing name", "hosts_missing hosts", "primary_missing primary", "origins_few origins",
		}},
		{"another version", func(d *crossfadev1.Service) { d.ApiVersion = "crossfade/v2" }, list("api_version", "apiVersion")},
		{"another kind", func(d *crossfadev1.Service) { d.Kind = "service" }, list("kind", "kind")},
		{"name in capitals", func(d *crossfadev1.Service) { d.Name = "My_Orders" }, list("name_invalid", "name")},
		{"name with dash at the end", func(d *crossfadev1.Service) { d.Name = "orders-" }, list("name_invalid", "name")},
		{"name of letters that have no place", func(d *crossfadev1.Service) { d.Name = "бета" }, list("name_invalid", "name")},
		{"name too long", func(d *crossfadev1.Service) { d.Name = strings.Repeat("a", 64) }, list("name_too_long", "name")},
		{"fleet name", func(d *crossfadev1.Service) { d.Fleet = "a.b" }, list("name_invalid", "fleet")},
		{"fleets and fleet", func(d *crossfadev1.Service) { d.Fleet, d.Fleets = "a", []string{"b", "c"} }, list("exclusive", "fleets")},
		{"fleets with an empty name", func(d *crossfadev1.Service) { d.Fleets = []string{"eu", ""} }, list("name_missing", "fleets[1]")},
		{"fleets with a bad name", func(d *crossfadev1.Service) { d.Fleets = []string{"EU", "us"} }, list("name_invalid", "fleets[0]")},
		{"a fleet twice", func(d *crossfadev1.Service) { d.Fleets = []string{"eu", "us", "eu"} }, list("name_duplicate", "fleets[2]")},
		{"too many fleets", func(d *crossfadev1.Service) {
			for i := range 17 {
				d.Fleets = append(d.Fleets, fmt.Sprint("f", i))
			}
		}, list("too_many", "fleets")},
		{"rolled back elsewhere", func(d *crossfadev1.Service) {
			d.Fleets = []string{"eu", "us"}
			d.RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "asia"}, {Fleet: "eu"}, {Fleet: "eu"}, {}}
		}, []string{"fleet_unknown rolledBackIn[0].fleet", "name_duplicate rolledBackIn[2].fleet", "fleet_unknown rolledBackIn[3].fleet"}},
		{"port above", func(d *crossfadev1.Service) { d.Listener = &crossfadev1.Listener{Port: 65536} }, list("port_range", "listener.port")},
		{"port below", func(d *crossfadev1.Service) { d.Listener = &crossfadev1.Listener{Port: -1} }, list("port_range", "listener.port")},
		{"primary missing", func(d *crossfadev1.Service) { d.Primary = "" }, list("primary_missing", "primary")},
		{"primary unknown", func(d *crossfadev1.Service) { d.Primary = "esc" }, list("origin_unknown", "primary")},
		{"several at once, in the order of the fields", func(d *crossfadev1.Service) {
			d.Name, d.Primary, d.Hosts = "Orders", "x", []string{"a b"}
			d.Origins[1].Protocol = "h2"
			d.Pins = []*crossfadev1.Pin{{Name: "beta"}}
		}, []string{
			"name_invalid name", "host_invalid hosts[0]", "origin_unknown primary", "protocol_unknown origins[1].protocol",
			"origin_missing pins[0].origin", "pin_match pins[0]",
		}},
	}
}

func badHosts() []badService {
	host := func(name, host, code string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.Hosts = []string{"ok.test", host} }, list(code, "hosts[1]")}
	}
	return []badService{
		{"no hosts", func(d *crossfadev1.Service) { d.Hosts = nil }, list("hosts_missing", "hosts")},
		{"too many hosts", func(d *crossfadev1.Service) {
			d.Hosts = nil
			for i := range 65 {
				d.Hosts = append(d.Hosts, fmt.Sprintf("h%d.test", i))
			}
		}, list("too_many", "hosts")},
		host("host empty", "", "host_missing"),
		host("host is a URL", "https://Orders.test:8443/api", "host_url"),
		host("host is a URL of nothing", "https://", "host_url"),
		host("host with a path", "orders.test/api", "host_path"),
		host("host with a port", "orders.test:8080", "host_port"),
		host("IPv6 host with a port", "[::1]:80", "host_port"),
		host("IPv4 host with a port", "10.0.0.1:80", "host_port"),
		host("host with a space", "orders .test", "host_invalid"),
		host("host with a user", "me@orders.test", "host_invalid"),
		host("host in Unicode", "bücher.test", "host_not_ascii"),
		host("host with a wildcard within a label", "api*.test", "host_wildcard"),
		host("host with a wildcard in the middle", "a.*.test", "host_wildcard"),
		host("host with two wildcards", "*.*.test", "host_wildcard"),
		host("host that ends in a wildcard", "orders.*", "host_wildcard"),
		host("wildcard before nothing", "*.", "host_wildcard"),
		host("host of a dot", ".", "host_invalid"),
		host("host with two dots", "orders..test", "host_invalid"),
		host("host with two dots at the end", "orders.test..", "host_invalid"),
		host("host that begins with a dot", ".orders.test", "host_invalid"),
		host("host label with a dash in front", "-orders.test", "host_invalid"),
		host("host label too long", strings.Repeat("a", 64)+".test", "host_invalid"),
		host("host too long", strings.Repeat("a.", 127)+"test", "host_invalid"),
		host("host with an odd character", "orders!.test", "host_invalid"),
		host("host of punycode with nothing", "xn--.test", "host_invalid"),
		host("host that is nearly an address", "256.1.1.1", "host_invalid"),
		host("host that is a number", "10.0.1", "host_invalid"),
		host("wildcard before an address", "*.0.0.1", "host_invalid"),
		host("IPv4 in brackets", "[10.0.0.1]", "host_invalid"),
		host("address with a zone", "fe80::1%eth0", "host_invalid"),
		host("host twice", "OK.test.", "host_duplicate"),
	}
}

func badPrefixes() []badService {
	prefix := func(name, prefix, code string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.PathPrefixes = []string{"/ok", prefix} }, list(code, "pathPrefixes[1]")}
	}
	return []badService{
		{"too many prefixes", func(d *crossfadev1.Service) {
			for i := range 17 {
				d.PathPrefixes = append(d.PathPrefixes, fmt.Sprintf("/p%d", i))
			}
		}, list("too_many", "pathPrefixes")},
		prefix("prefix empty", "", "prefix_slash"),
		prefix("prefix without slash", "api", "prefix_slash"),
		prefix("prefix with a query", "/api?x=1", "prefix_query"),
		prefix("prefix with a fragment", "/api#x", "prefix_query"),
		prefix("prefix with a wildcard", "/api/*", "prefix_wildcard"),
		prefix("prefix of a wildcard", "/*", "prefix_wildcard"),
		prefix("prefix with an empty segment", "/api//v1", "prefix_segment"),
		prefix("prefix of two slashes", "//", "prefix_segment"),
		prefix("prefix with a dot segment", "/api/./v1", "prefix_segment"),
		prefix("prefix with a segment upwards", "/api/..", "prefix_segment"),
		prefix("prefix with a space", "/my api", "prefix_invalid"),
		prefix("prefix with a control character", "/a\tb", "prefix_invalid"),
		prefix("prefix in Unicode", "/bücher", "prefix_invalid"),
		prefix("prefix with a broken escape", "/a%2", "prefix_invalid"),
		prefix("prefix too long", "/"+strings.Repeat("a", 1024), "too_long"),
		prefix("prefix twice", "/ok/", "prefix_duplicate"),
	}
}

func badOrigins() []badService {
	first := func(name string, change func(*crossfadev1.Origin), code, field string) badService {
		return badService{name, func(d *crossfadev1.Service) { change(d.Origins[1]) }, list(code, "origins[1]"+field)}
	}
	return []badService{
		{"one origin", func(d *crossfadev1.Service) { d.Origins = d.Origins[:1] }, list("origins_few", "origins")},
		{"too many origins", func(d *crossfadev1.Service) {
			for i := range 15 {
				d.Origins = append(d.Origins, &crossfadev1.Origin{Name: fmt.Sprintf("o%d", i)})
			}
		}, list("too_many", "origins")},
		{"origin name twice", func(d *crossfadev1.Service) { d.Origins[1].Name = "ecs" }, list("name_duplicate", "origins[1].name")},
		first("origin without a name", func(o *crossfadev1.Origin) { o.Name = "" }, "name_missing", ".name"),
		first("origin name", func(o *crossfadev1.Origin) { o.Name = "EKS" }, "name_invalid", ".name"),
		first("origin protocol", func(o *crossfadev1.Origin) { o.Protocol = "grpc" }, "protocol_unknown", ".protocol"),
		first("origin without discovery", func(o *crossfadev1.Origin) { o.Discovery = nil }, "discovery_missing", ""),
		first("connect timeout of 0", func(o *crossfadev1.Origin) { o.ConnectTimeout = durationpb.New(0) }, "duration_too_short", ".connectTimeout"),
		first("breaker below", func(o *crossfadev1.Origin) {
			o.CircuitBreakers = &crossfadev1.CircuitBreakers{MaxRequests: -1}
		}, "out_of_range", ".circuitBreakers.maxRequests"),
		first("ejection above", func(o *crossfadev1.Origin) {
			o.OutlierDetection = &crossfadev1.OutlierDetection{MaxEjectionPercent: 101}
		}, "out_of_range", ".outlierDetection.maxEjectionPercent"),
		first("failures below", func(o *crossfadev1.Origin) {
			o.OutlierDetection = &crossfadev1.OutlierDetection{ConsecutiveFailures: -5}
		}, "out_of_range", ".outlierDetection.consecutiveFailures"),
		first("sweeps too often", func(o *crossfadev1.Origin) {
			o.OutlierDetection = &crossfadev1.OutlierDetection{Interval: durationpb.New(time.Millisecond)}
		}, "duration_too_short", ".outlierDetection.interval"),
	}
}

func badEndpoints() []badService {
	endpoint := func(name, endpoint, code string) badService {
		return badService{name, func(d *crossfadev1.Service) {
			d.Origins[1].GetStatic().Endpoints = []string{"10.0.0.2:8080", endpoint}
		}, list(code, "origins[1].static.endpoints[1]")}
	}
	return []badService{
		{"no endpoints", func(d *crossfadev1.Service) { d.Origins[1].GetStatic().Endpoints = nil }, list("endpoints_missing", "origins[1].static.endpoints")},
		{"too many endpoints", func(d *crossfadev1.Service) {
			d.Origins[1].GetStatic().Endpoints = make([]string, 10_001)
		}, list("too_many", "origins[1].static.endpoints")},
		endpoint("endpoint by name", "eks.internal:8080", "endpoint_not_ip"),
		endpoint("endpoint empty", "", "endpoint_not_ip"),
		endpoint("endpoint is a URL", "http://10.0.0.3:80", "endpoint_not_ip"),
		endpoint("endpoint without port", "10.0.0.3", "endpoint_port"),
		endpoint("IPv6 endpoint without port", "2001:db8::1", "endpoint_port"),
		endpoint("endpoint port 0", "10.0.0.3:0", "endpoint_port"),
		endpoint("endpoint port above", "10.0.0.3:65536", "endpoint_port"),
		endpoint("endpoint with a zone", "[fe80::1%eth0]:80", "endpoint_not_ip"),
		endpoint("endpoint of every address", "0.0.0.0:80", "endpoint_address"),
		endpoint("endpoint of many", "239.0.0.1:80", "endpoint_address"),
		endpoint("endpoint twice", "10.0.0.2:8080", "endpoint_duplicate"),
		endpoint("endpoint twice, written otherwise", "[::ffff:10.0.0.2]:8080", "endpoint_duplicate"),
	}
}

func badHealth() []badService {
	check := func(name string, change func(*crossfadev1.HealthCheck), code, field string) badService {
		return badService{name, func(d *crossfadev1.Service) {
			d.Origins[0].HealthCheck = &crossfadev1.HealthCheck{Path: "/healthz"}
			change(d.Origins[0].HealthCheck)
		}, list(code, "origins[0].healthCheck."+field)}
	}
	return []badService{
		check("health path missing", func(h *crossfadev1.HealthCheck) { h.Path = "" }, "health_path", "path"),
		check("health path without slash", func(h *crossfadev1.HealthCheck) { h.Path = "healthz" }, "health_path", "path"),
		check("health path with a space", func(h *crossfadev1.HealthCheck) { h.Path = "/he alth" }, "health_path", "path"),
		check("health path too long", func(h *crossfadev1.HealthCheck) { h.Path = "/" + strings.Repeat("a", 1024) }, "too_long", "path"),
		check("health host", func(h *crossfadev1.HealthCheck) { h.Host = "a b" }, "host_invalid", "host"),
		check("health host wildcard", func(h *crossfadev1.HealthCheck) { h.Host = "*.test" }, "host_invalid", "host"),
		check("health host port", func(h *crossfadev1.HealthCheck) { h.Host = "a.test:70000" }, "port_range", "host"),
		check("checks too often", func(h *crossfadev1.HealthCheck) { h.Interval = durationpb.New(99 * time.Millisecond) }, "duration_too_short", "interval"),
		check("check longer than its interval", func(h *crossfadev1.HealthCheck) { h.Timeout = durationpb.New(11 * time.Second) }, "timeout_above_interval", "timeout"),
		check("check of no time", func(h *crossfadev1.HealthCheck) { h.Timeout = durationpb.New(0) }, "duration_too_short", "timeout"),
		check("unhealthy below", func(h *crossfadev1.HealthCheck) { h.UnhealthyThreshold = -1 }, "out_of_range", "unhealthyThreshold"),
		check("healthy above", func(h *crossfadev1.HealthCheck) { h.HealthyThreshold = 1001 }, "out_of_range", "healthyThreshold"),
		check("statuses turned round", func(h *crossfadev1.HealthCheck) { h.ExpectedStatuses = []string{"299-200"} }, "status_invalid", "expectedStatuses[0]"),
		check("status in words", func(h *crossfadev1.HealthCheck) { h.ExpectedStatuses = []string{"200", "2xx"} }, "status_invalid", "expectedStatuses[1]"),
		check("status out of range", func(h *crossfadev1.HealthCheck) { h.ExpectedStatuses = []string{"099"} }, "status_invalid", "expectedStatuses[0]"),
		check("status with a sign", func(h *crossfadev1.HealthCheck) { h.ExpectedStatuses = []string{"+20"} }, "status_invalid", "expectedStatuses[0]"),
		check("too many statuses", func(h *crossfadev1.HealthCheck) { h.ExpectedStatuses = make([]string, 17) }, "too_many", "expectedStatuses"),
	}
}

func badSplits() []badService {
	weights := func(name string, weights map[string]int32, want ...string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.Split = &crossfadev1.Split{Weights: weights} }, want}
	}
	sticky := func(name string, s *crossfadev1.Sticky, code, field string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.Split = &crossfadev1.Split{Sticky: s} }, list(code, "split.sticky"+field)}
	}
	cookie := func(c *crossfadev1.StickyCookie) *crossfadev1.Sticky {
		return &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: c}}
	}
	header := func(name string) *crossfadev1.Sticky {
		return &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: name}}}
	}
	return []badService{
		weights("weights below 100 %", map[string]int32{"ecs": 9000, "eks": 900}, "weights_sum split.weights"),
		weights("weights above 100 %", map[string]int32{"ecs": 10000, "eks": 1}, "weights_sum split.weights"),
		weights("weights in percent", map[string]int32{"ecs": 90, "eks": 10}, "weights_sum split.weights"),
		weights("weights of nothing", map[string]int32{"ecs": 0, "eks": 0}, "weights_sum split.weights"),
		weights("weight below", map[string]int32{"ecs": 10001, "eks": -1}, "weight_range split.weights.ecs", "weight_range split.weights.eks"),
		weights("weight of an unknown origin", map[string]int32{"ecs": 9000, "gke": 1000}, "origin_unknown split.weights.gke"),
		weights("weight without a name", map[string]int32{"": 10000}, "origin_unknown split.weights."),
		weights("too many weights", manyWeights(), "too_many split.weights"),
		sticky("sticky without a key", &crossfadev1.Sticky{}, "sticky_key", ""),
		sticky("sticky cookie without a name", cookie(nil), "cookie_missing", ".cookie.name"),
		sticky("sticky cookie name", cookie(&crossfadev1.StickyCookie{Name: "my cookie"}), "cookie_invalid", ".cookie.name"),
		sticky("sticky cookie prefix", cookie(&crossfadev1.StickyCookie{Name: "__Host-cf"}), "cookie_prefix", ".cookie.name"),
		sticky("sticky cookie path", cookie(&crossfadev1.StickyCookie{Name: "cf", Path: "/a;b"}), "cookie_path", ".cookie.path"),
		sticky("sticky cookie path too long", cookie(&crossfadev1.StickyCookie{Name: "cf", Path: "/" + strings.Repeat("a", 1024)}), "too_long", ".cookie.path"),
		sticky("sticky cookie ttl", cookie(&crossfadev1.StickyCookie{Name: "cf", Ttl: durationpb.New(1500 * time.Millisecond)}), "duration_too_fine", ".cookie.ttl"),
		sticky("sticky cookie ttl below", cookie(&crossfadev1.StickyCookie{Name: "cf", Ttl: durationpb.New(-time.Second)}), "duration_negative", ".cookie.ttl"),
		sticky("sticky header missing", header(""), "header_missing", ".header.name"),
		sticky("sticky header reserved", header("X-Forwarded-For"), "header_reserved", ".header.name"),
	}
}

func manyWeights() map[string]int32 {
	many := map[string]int32{}
	for i := range 17 {
		many[fmt.Sprint("o", i)] = 1
	}
	return many
}

func badPins() []badService {
	pin := func(name string, p *crossfadev1.Pin, want ...string) badService {
		return badService{name, func(d *crossfadev1.Service) { d.Pins = []*crossfadev1.Pin{p} }, want}
	}
	cookiePin := func(m *crossfadev1.ValueMatch) *crossfadev1.Pin {
		return &crossfadev1.Pin{Name: "p", Origin: "eks", Match: &crossfadev1.Pin_Cookie{Cookie: m}}
	}
	queryPin := func(m *crossfadev1.ValueMatch) *crossfadev1.Pin {
		return &crossfadev1.Pin{Name: "p", Origin: "eks", Match: &crossfadev1.Pin_Query{Query: m}}
	}
	header := func(name, header, code string) badService {
		return pin(name, headerPin("p", exact(header, "1")), code+" pins[0].header.name")
	}
	re := func(name, expression, code string) badService {
		return pin(name, headerPin("p", regex("x-a", expression)), code+" pins[0].header.regex")
	}
	return []badService{
		{"pin name twice", func(d *crossfadev1.Service) {
			d.Pins = []*crossfadev1.Pin{headerPin("beta", exact("x-a", "1")), headerPin("beta", exact("x-b", "1"))}
		}, list("name_duplicate", "pins[1].name")},
		{"too many pins", func(d *crossfadev1.Service) { d.Pins = make([]*crossfadev1.Pin, 65) }, list("too_many", "pins")},
		pin("pin of nothing", nil, "name_missing pins[0].name", "origin_missing pins[0].origin", "pin_match pins[0]"),
		pin("pin name", headerPin("Beta users", exact("x-a", "1")), "name_invalid pins[0].name"),
		pin("pin to an unknown origin", &crossfadev1.Pin{Name: "p", Origin: "gke", Match: &crossfadev1.Pin_Header{Header: exact("x-a", "1")}}, "origin_unknown pins[0].origin"),
		pin("pin without condition", headerPin("p", &crossfadev1.ValueMatch{Name: "x-a"}), "pin_condition pins[0].header"),
		pin("pin with an empty prefix", headerPin("p", prefix("x-a", "")), "prefix_empty pins[0].header.prefix"),
		header("header missing", "", "header_missing"),
		header("header name", "x a", "header_invalid"),
		header("header pseudo", ":path", "header_reserved"),
		header("header host", "Host", "header_reserved"),
		header("header of Envoy", "X-Envoy-Retry-On", "header_reserved"),
		header("header of ours", "x-cf-key", "header_reserved"),
		header("header of a copy", "x-shadow", "header_reserved"),
		header("header of a connection", "Connection", "header_reserved"),
		header("header transfer-encoding", "transfer-encoding", "header_reserved"),
		header("header content-length", "content-length", "header_reserved"),
		header("header te", "te", "header_reserved"),
		header("header upgrade", "upgrade", "header_reserved"),
		header("header cookie", "cookie", "header_reserved"),
		header("header too long", strings.Repeat("a", 1025), "too_long"),
		pin("header value with a control character", headerPin("p", exact("x-a", "a\x00b")), "value_invalid pins[0].header.exact"),
		pin("header value with a space at the end", headerPin("p", exact("x-a", "a ")), "value_space pins[0].header.exact"),
		pin("header prefix with a space in front", headerPin("p", prefix("x-a", " a")), "value_space pins[0].header.prefix"),
		pin("header value too long", headerPin("p", exact("x-a", strings.Repeat("a", 1025))), "too_long pins[0].header.exact"),
		pin("cookie missing", cookiePin(nil), "cookie_missing pins[0].cookie.name", "pin_condition pins[0].cookie"),
		pin("cookie name", cookiePin(exact("a=b", "1")), "cookie_invalid pins[0].cookie.name"),
		pin("cookie name too long", cookiePin(exact(strings.Repeat("a", 1025), "1")), "too_long pins[0].cookie.name"),
		pin("cookie value", cookiePin(exact("a", "b;c")), "value_invalid pins[0].cookie.exact"),
		pin("query missing", queryPin(exact("", "1")), "query_missing pins[0].query.name"),
		pin("query name", queryPin(exact("a b", "1")), "query_invalid pins[0].query.name"),
		pin("query name with a sign", queryPin(exact("a=b", "1")), "query_invalid pins[0].query.name"),
		pin("query name too long", queryPin(exact(strings.Repeat("a", 1025), "1")), "too_long pins[0].query.name"),
		pin("query value", queryPin(exact("a", "b&c")), "value_invalid pins[0].query.exact"),
		re("regex empty", "", "regex_empty"),
		re("regex broken", "a(", "regex_invalid"),
		re("regex with look-ahead", "(?!beta).*", "regex_invalid"),
		re("regex with a back-reference", `(a)\1`, "regex_invalid"),
		re("regex with too many repetitions", "a{1001}", "regex_invalid"),
		re("regex too expensive", "(?:[^,]{10},){10}", "regex_too_expensive"),
		re("regex too expensive by length", strings.Repeat("a", 97), "regex_too_expensive"),
		re("regex too long", strings.Repeat("a", 1025), "regex_too_expensive"),
		re("regex with a Unicode class", `\pL+`, "regex_unsupported"),
		re("regex in Unicode", "[à-ü]+", "regex_unsupported"),
		re("regex in Unicode by number", `\x{e9}`, "regex_unsupported"),
		re("regex in Unicode within a class that holds it anyway", `[\D\x{100}]`, "regex_unsupported"),
		re("regex with a byte in octal", `\377`, "regex_unsupported"),
		re("regex with a byte in hex", `\xe9`, "regex_unsupported"),
		re("regex with a range beyond ASCII", `[a-\x{ff}]`, "regex_unsupported"),
	}
}

func badTimes() []badService {
	idle := func(name string, d *durationpb.Duration, code string) badService {
		return badService{name, func(s *crossfadev1.Service) { s.Timeouts = &crossfadev1.Timeouts{Idle: d} }, list(code, "timeouts.idle")}
	}
	retry := func(name string, r *crossfadev1.Retries, want ...string) badService {
		return badService{name, func(s *crossfadev1.Service) { s.Retries = r }, want}
	}
	other := func(o *crossfadev1.OtherOrigin) *crossfadev1.Retries { return &crossfadev1.Retries{OtherOrigin: o} }
	connect := []string{"connect-failure"}
	return []badService{
		idle("duration negative", durationpb.New(-time.Second), "duration_negative"),
		idle("duration negative beyond measure", &durationpb.Duration{Seconds: -1 << 62}, "duration_negative"),
		idle("duration above a year", durationpb.New(8761*time.Hour), "duration_too_long"),
		idle("duration beyond measure", &durationpb.Duration{Seconds: 1 << 62}, "duration_too_long"),
		idle("duration that is none", &durationpb.Duration{Seconds: 1, Nanos: -1}, "duration_invalid"),
		idle("duration with too many nanoseconds", &durationpb.Duration{Seconds: 1, Nanos: 2e9}, "duration_invalid"),
		idle("duration too fine", durationpb.New(1500*time.Microsecond), "duration_too_fine"),
		{"every timeout", func(s *crossfadev1.Service) {
			bad := durationpb.New(-time.Second)
			s.Timeouts = &crossfadev1.Timeouts{Request: bad, Idle: bad, MaxStreamDuration: bad}
			s.Origins[0].ConnectTimeout = bad
		}, []string{"duration_negative origins[0].connectTimeout", "duration_negative timeouts.request", "duration_negative timeouts.idle", "duration_negative timeouts.maxStreamDuration"}},
		retry("retries without a cause", &crossfadev1.Retries{}, "retry_on_missing retries.on"),
		retry("retries on something else", &crossfadev1.Retries{On: []string{"connect-failure", "timeout"}}, "retry_on_unknown retries.on[1]"),
		retry("none and more", &crossfadev1.Retries{On: []string{"none", "5xx"}}, "retry_none retries.on[0]"),
		retry("none with attempts", &crossfadev1.Retries{On: []string{"none"}, Attempts: 2}, "retry_none retries.on[0]"),
		retry("retries twice", &crossfadev1.Retries{On: []string{"5xx", "5xx"}}, "retry_on_duplicate retries.on[1]"),
		retry("retries without end", &crossfadev1.Retries{On: connect, Attempts: 11}, "out_of_range retries.attempts"),
		retry("retries below", &crossfadev1.Retries{On: connect, Attempts: -1}, "out_of_range retries.attempts"),
		retry("retry codes unused", &crossfadev1.Retries{On: connect, StatusCodes: []int32{503}}, "retry_codes_unused retries.statusCodes"),
		retry("retry codes missing", &crossfadev1.Retries{On: []string{"retriable-status-codes"}}, "retry_codes_missing retries.statusCodes"),
		retry("retry codes", &crossfadev1.Retries{On: []string{"retriable-status-codes"}, StatusCodes: []int32{200, 503, 503}},
			"status_invalid retries.statusCodes[0]", "status_duplicate retries.statusCodes[2]"),
		retry("too many retry codes", &crossfadev1.Retries{On: []string{"retriable-status-codes"}, StatusCodes: make([]int32, 33)}, "too_many retries.statusCodes"),
		retry("the other origin on something else", other(&crossfadev1.OtherOrigin{On: []string{"5xx", "timeout", "5xx"}}),
			"other_origin_on_unknown retries.otherOrigin.on[1]", "other_origin_on_duplicate retries.otherOrigin.on[2]"),
		retry("the other origin for uploads", other(&crossfadev1.OtherOrigin{Methods: []string{"GET", "POST", "get", "GET"}}),
			"other_origin_method_unknown retries.otherOrigin.methods[1]", "other_origin_method_unknown retries.otherOrigin.methods[2]", "other_origin_method_duplicate retries.otherOrigin.methods[3]"),
		retry("the other origin too often", other(&crossfadev1.OtherOrigin{MaxConcurrent: 1001}), "out_of_range retries.otherOrigin.maxConcurrent"),
		retry("the other origin below", other(&crossfadev1.OtherOrigin{MaxConcurrent: -1}), "out_of_range retries.otherOrigin.maxConcurrent"),
		retry("the other origin of many methods", other(&crossfadev1.OtherOrigin{Methods: make([]string, 6)}), "too_many retries.otherOrigin.methods"),
		retry("attempts of nothing, and the other origin", &crossfadev1.Retries{On: []string{"none"}, Attempts: 2, OtherOrigin: &crossfadev1.OtherOrigin{}}, "retry_none retries.on[0]"),
		{"the other one of three", func(s *crossfadev1.Service) {
			s.Origins = append(s.Origins, &crossfadev1.Origin{Name: "third", Discovery: s.Origins[0].Discovery})
			s.Retries = other(&crossfadev1.OtherOrigin{})
		}, list("other_origin_two", "retries.otherOrigin")},
		{"the other one speaks otherwise", func(s *crossfadev1.Service) {
			s.Origins[1].Protocol = "http2"
			s.Retries = other(&crossfadev1.OtherOrigin{})
		}, list("other_origin_protocol", "retries.otherOrigin")},
		{"try longer than the request", func(s *crossfadev1.Service) {
			s.Timeouts = &crossfadev1.Timeouts{Request: durationpb.New(time.Second)}
			s.Retries = &crossfadev1.Retries{On: connect, PerTryTimeout: durationpb.New(2 * time.Second)}
		}, list("per_try_above_request", "retries.perTryTimeout")},
	}
}
