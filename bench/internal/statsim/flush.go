package statsim

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of OTLP's messages.
const (
	resourceMetrics, resource, attributes      = 1, 1, 1
	scopeMetrics, metrics                      = 2, 2
	metricName, gauge, counterSum, distributed = 1, 5, 7, 9
	points, temporality, monotonic             = 1, 2, 3
	start, end                                 = 2, 3
	asInt, pointAttributes                     = 6, 7
	count, total, buckets, bounds, labels      = 4, 5, 6, 7, 9
)

// delta is OTLP's AGGREGATION_TEMPORALITY_DELTA.
const delta = 1

// build is what an Envoy 1.40.0 of the pinned package says of itself, in alphabetical disorder as it does.
var build = [][2]string{
	{"telemetry.sdk.version", "9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL"},
	{"telemetry.sdk.language", "cpp"},
	{"telemetry.sdk.name", "envoy"},
}

// gauges are in every flush of a proxy that serves, whether it has traffic or not. Only uptime changes here.
var gauges = []struct {
	name  string
	value uint64
}{
	{"listener_manager.total_listeners_active", 2},
	{"http.ingress.downstream_cx_active", 64},
	{"http.ingress.downstream_rq_active", 0},
	{"server.memory_allocated", 8 << 20},
	{"server.memory_heap_size", 12 << 20},
	{"server.live", 1},
	{"server.state", 0},
	{"control_plane.connected_state", 1},
	{"cluster_manager.active_clusters", 1},
	{"server.uptime", 1},
}

// Sent is what a message holds.
type Sent struct {
	Requests uint64 // that it says were answered
	Failed   uint64 // of them
	Busy     int    // clusters that it names
}

// Flush appends the statistics since the last flush, as an ExportMetricsServiceRequest. The first says, as that of a process does, that it began
// in 1970: it proves nothing, and counts.
func (p *Proxy) Flush(b []byte, now time.Time) ([]byte, Sent) {
	p.count(now)
	var sent Sent
	t := interval{to: uint64(now.UnixNano())}
	if !p.flushed.IsZero() {
		t.from = uint64(p.flushed.UnixNano())
	}
	b = nested(b, resourceMetrics, func(b []byte) []byte {
		b = nested(b, resource, func(b []byte) []byte {
			for _, a := range build {
				b = attribute(b, attributes, a[0], a[1])
			}
			return b
		})
		return nested(b, scopeMetrics, func(b []byte) []byte {
			for _, g := range gauges {
				b = t.gauge(b, g.name, g.value)
			}
			b = t.counter(b, "cluster.upstream_rq_total", 1, label{"envoy.cluster_name", "xds"})
			for i := range p.clusters {
				c := &p.counters[i]
				fresh := c.sum().since(c.flushed)
				if fresh.done == 0 {
					continue
				}
				b = t.cluster(b, p.clusters[i].Name, fresh)
				sent.Busy, sent.Requests, sent.Failed = sent.Busy+1, sent.Requests+fresh.done, sent.Failed+fresh.failed
			}
			if sent.Requests == 0 {
				return b
			}
			b = t.counter(b, "http.ingress.downstream_rq_total", sent.Requests)
			return t.classes(b, "http.ingress.downstream_rq_xx", sum{sent.Requests, sent.Failed})
		})
	})
	for i := range p.counters {
		p.counters[i].flushed = p.counters[i].sum()
	}
	p.flushed = now
	return b, sent
}

// interval is what a flush covers, in Unix nanoseconds.
type interval struct{ from, to uint64 }

type label struct{ key, value string }

func attribute(b []byte, num protowire.Number, key, value string) []byte {
	return nested(b, num, func(b []byte) []byte {
		return nested(text(b, 1, key), 2, func(b []byte) []byte { return text(b, 1, value) })
	})
}

// cluster appends what is reported of a cluster that had requests.
func (t interval) cluster(b []byte, name string, fresh sum) []byte {
	cluster := label{"envoy.cluster_name", name}
	b = t.counter(b, "cluster.upstream_rq_total", fresh.done, cluster)
	b = t.classes(b, "cluster.upstream_rq_xx", fresh, cluster)
	return t.latency(b, cluster, fresh.done)
}

func (t interval) classes(b []byte, name string, s sum, labels ...label) []byte {
	for _, class := range []struct {
		digit string
		n     uint64
	}{{"2", s.done - s.failed}, {"5", s.failed}} {
		if class.n > 0 {
			b = t.counter(b, name, class.n, append(slices.Clone(labels), label{"envoy.response_code_class", class.digit})...)
		}
	}
	return b
}

func (t interval) gauge(b []byte, name string, value uint64) []byte {
	return nested(b, metrics, func(b []byte) []byte {
		return nested(text(b, metricName, name), gauge, func(b []byte) []byte {
			return nested(b, points, func(b []byte) []byte { return fixed(fixed(b, end, t.to), asInt, value) })
		})
	})
}

func (t interval) counter(b []byte, name string, value uint64, labels ...label) []byte {
	return nested(b, metrics, func(b []byte) []byte {
		return nested(text(b, metricName, name), counterSum, func(b []byte) []byte {
			b = nested(b, points, func(b []byte) []byte {
				for _, l := range labels {
					b = attribute(b, pointAttributes, l.key, l.value)
				}
				return fixed(t.times(b), asInt, value)
			})
			return varint(varint(b, temporality, delta), monotonic, 1)
		})
	})
}

func (t interval) latency(b []byte, cluster label, n uint64) []byte {
	return nested(b, metrics, func(b []byte) []byte {
		return nested(text(b, metricName, "cluster.upstream_rq_time"), distributed, func(b []byte) []byte {
			b = nested(b, points, func(b []byte) []byte {
				shape := usual()
				b = float(fixed(t.times(attribute(b, labels, cluster.key, cluster.value)), count, n), total, shape.mean*float64(n))
				b = nested(b, buckets, func(b []byte) []byte { return shape.spread(b, n) })
				return append(b, shape.bounds...)
			})
			return varint(b, temporality, delta)
		})
	})
}

// times appends when a point begins and ends; what began in 1970 is left out.
func (t interval) times(b []byte) []byte {
	if t.from > 0 {
		b = fixed(b, start, t.from)
	}
	return fixed(b, end, t.to)
}
