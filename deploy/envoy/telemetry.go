package envoy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	minFlush = 100 * time.Millisecond
	maxFlush = 5 * time.Minute
	minHeap  = 64 << 20
)

// readyKey and the names of layers are those of pkg/xds/translate; a test compares them. They stand here again so that shadowctl, which
// writes bootstraps, need not carry all of Envoy's protos.
const readyKey = "crossfade.ready"

// layers are the runtime layers that the control plane fills, later ones winning.
func layers() []string {
	var out []string
	for i := range 16 {
		out = append(out, fmt.Sprintf("levers-%02d", i))
	}
	return append(out, "levers-recent", "ready")
}

// stats are expressions (RE2) for the statistics that exist at all; each costs memory per cluster and, once used, bytes per flush. The slash
// in a cluster's name keeps out clusters of Envoy's own.
func stats() []string {
	return []string{
		`cluster\.[^.]+/[^.]+\.upstream_rq_(total|[1-5]xx|time)`,                              // requests, classes, latency
		`cluster\.[^.]+/[^.]+\.upstream_rq_(pending_total|pending_overflow|timeout|rx_reset)`, // picks that got no answer
		`cluster\.[^.]+/[^.]+\.upstream_cx_(none_healthy|connect_fail)`,                       // picks that got no connection
		`http\.ingress\.(downstream_(rq_total|rq_active|cx_active|rq_[1-5]xx)|no_route)`,      // what clients see; run.sh drains by it
		`server\.(uptime|live|state|memory_allocated|memory_heap_size)`,                       // the process; also a heartbeat
		`(control_plane\.connected_state|runtime\.admin_overrides_active)`,                    // is it led, is it overridden
		`(listener_manager\.(listener_create_failure|total_listeners_active)|cluster_manager\.active_clusters)`,
		`listener\..+\.downstream_global_cx_overflow`, // client connections refused
		`overload\..+\.(active|pressure)`,
	}
}

// Bounds of the latency histogram, in milliseconds.
const (
	finestBucket  = 10
	longestBucket = 60_000
	bucketRatio   = 1.098
)

// buckets are the upper bounds of the latency histogram, in milliseconds: whole ones up to 10 (Envoy measures no finer), then each just under 10 %
// above the one before, so that a percentile read from the middle of a bucket is within 5 %, up to a minute, and a few above.
func buckets() string {
	var out []string
	last := 0.0
	add := func(b float64) {
		if b > last {
			out = append(out, strconv.FormatFloat(b, 'f', -1, 64))
			last = b
		}
	}
	add(0.5)
	for b := 1.0; b < finestBucket; b++ {
		add(b)
	}
	for b := float64(finestBucket); b < longestBucket; b *= bucketRatio {
		add(significant(b, 4))
	}
	for _, b := range []float64{longestBucket, 120_000, 300_000, 900_000, 3_600_000} {
		add(b)
	}
	return strings.Join(out, ", ")
}

// significant rounds down to n digits.
func significant(x float64, n int) float64 {
	scale := math.Pow(10, float64(n-1)-math.Floor(math.Log10(x)))
	return math.Floor(x*scale) / scale
}
