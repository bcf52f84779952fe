package main

import "slices"

// piece is something in what we generate that can be left out.
type piece struct {
	name   string
	remove func(*generated) // nil: it stays whole
}

// without leaves out fields.
func without(of object, keys ...string) {
	for _, key := range keys {
		delete(of, key)
	}
}

// edge keeps some of the mutations of headers that are made before a route is chosen.
func (g *generated) edge(keep func(object) bool) {
	mutation := first(g.manager["early_header_mutation_extensions"])["typed_config"].(object)
	mutation["mutations"] = slices.DeleteFunc(mutation["mutations"].([]any), func(m any) bool { return !keep(m.(object)) })
}

// pieces are all that may cost something for each request, then all of them together, and then parts of some.
func pieces() []piece {
	all := []piece{
		{"access log", func(g *generated) { without(g.manager, "access_log") }},
		{"sending statistics", func(g *generated) { without(g.bootstrap, "stats_sinks") }},
		{"statistics as we choose them", func(g *generated) {
			without(g.bootstrap, "stats_sinks", "stats_config", "stats_flush_interval", "deferred_stat_options")
		}},
		{"headers at the edge", func(g *generated) {
			without(g.manager, "early_header_mutation_extensions")
			without(g.table, "request_headers_to_remove")
		}},
		{"case of headers", func(g *generated) {
			without(g.manager["http_protocol_options"].(object), "header_key_format")
			for _, c := range g.clusters {
				for _, o := range c["typed_extension_protocol_options"].(object) {
					without(o.(object)["explicit_http_config"].(object)["http_protocol_options"].(object), "header_key_format")
				}
			}
		}},
		{"client address and x-forwarded", func(g *generated) {
			without(g.manager, "use_remote_address", "append_x_forwarded_port", "internal_address_config", "xff_num_trusted_hops")
		}},
		{"server, request id, certificate headers as they are", func(g *generated) {
			without(g.manager, "server_header_transformation", "generate_request_id", "preserve_external_request_id", "forward_client_cert_details")
			filters := g.manager["http_filters"].([]any)
			without(filters[len(filters)-1].(object)["typed_config"].(object), "suppress_envoy_headers")
		}},
		{"bodies of errors", func(g *generated) { without(g.manager, "local_reply_config") }},
		{"filter of timeouts", func(g *generated) { g.manager["http_filters"] = g.manager["http_filters"].([]any)[1:] }},
		{"weights by runtime keys", func(g *generated) {
			w := g.action["weighted_clusters"].(object)
			without(w, "runtime_key_prefix")
			for _, c := range w["clusters"].([]any) {
				c.(object)["weight"] = 50
			}
		}},
		{"retries", func(g *generated) { without(g.host, "retry_policy") }},
		{"timeouts", func(g *generated) {
			without(g.manager, "stream_idle_timeout", "request_headers_timeout", "common_http_protocol_options")
			without(g.action, "timeout", "idle_timeout")
		}},
		{"overload manager", func(g *generated) { without(g.bootstrap, "overload_manager") }},
		{"settings of clusters", func(g *generated) {
			for _, c := range g.clusters {
				for key := range c {
					if key != "name" && key != "load_assignment" && key != "type" {
						delete(c, key)
					}
				}
			}
		}},
		{"settings of listener and HTTP", func(g *generated) {
			without(g.listener, "per_connection_buffer_limit_bytes", "traffic_direction")
			without(g.manager, "http_protocol_options", "http2_protocol_options", "upgrade_configs", "max_request_headers_kb", "normalize_path")
		}},
	}
	together := piece{"all of these", func(g *generated) {
		for _, p := range all {
			p.remove(g)
		}
	}}
	return append(all, together,
		piece{"service, pin and origin in the access log", func(g *generated) {
			format := first(g.manager["access_log"])["typed_config"].(object)["log_format"].(object)["json_format"].(object)
			without(format, "service", "pin", "origin")
		}},
		piece{"removal of headers at the edge", func(g *generated) { g.edge(func(m object) bool { return m["remove_on_match"] == nil }) }},
		piece{"key for new clients", func(g *generated) { g.edge(func(m object) bool { return m["append"] == nil }) }},
	)
}
