package envoy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	minFlush = 100 * time.Millisecond
	maxFlush = 4 * time.Minute // Envoy takes what is below 5
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
		`cluster\.[^.]+/[^.]+\.upstream_rq_(total|[1-5]xx|time)`,                                              // requests, classes, latency
		`cluster\.[^.]+/[^.]+\.upstream_rq_(pending_total|pending_overflow|active_overflow|timeout|rx_reset)`, // picks that got no answer
		`cluster\.xds\.upstream_rq_total`,                                                                     // grows with each report, so that each says which interval it covers: gauges do not
		`cluster\.[^.]+/[^.]+\.upstream_cx_(none_healthy|connect_fail)`,                                       // picks that got no connection
		`cluster\.[^.]+/[^.]+@either\.upstream_rq_retry_success`,                                              // what the other origin hides
		`http\.ingress\.(downstream_(rq_total|rq_active|cx_active|rq_[1-5]xx)|no_route)`,                      // what clients see; run.sh drains by it
		`server\.(uptime|live|state|memory_allocated|memory_heap_size)`,                                       // the process; also a heartbeat
		`(control_plane\.connected_state|runtime\.admin_overrides_active)`,                                    // is it led, is it overridden
		`(listener_manager\.(listener_create_failure|total_listeners_active)|cluster_manager\.active_clusters)`,
		`listener\..+\.downstream_global_cx_overflow`,                                                                  // client connections refused
		`(listener|cluster)\..+\.ssl\.certificate\.(pair\||` + certificateSecret + `\.).*expiration_unix_time_seconds`, // when certificates end that are shown; authorities are a bundle
		`overload\..+\.(active|pressure)`,
	}
}

// Bounds of the latency histogram, in milliseconds.
const (
	finestBucket  = 10
	longestBucket = 60_000
)

// buckets are the upper bounds of the latency histogram, in milliseconds: whole ones up to 10 (Envoy measures no finer), then each at most 10 %
// above the one before, so that a percentile read from the middle of a bucket is within 5 %, up to a minute, and a few above. They have two
// significant digits, for so finely Envoy itself counts: with a bound inside one of its bins, all of the bin goes to one side. 99 comes before
// 100 because the bin from 100 on is ten times as wide as the one before, and which bins a bucket holds depends on Envoy's version.
func buckets() string {
	out := []string{"0.5"}
	last := 0
	add := func(b int) {
		if b > last {
			out = append(out, strconv.Itoa(b))
			last = b
		}
	}
	for b := 1; b < finestBucket; b++ {
		add(b)
	}
	for scale := 1; scale*finestBucket < longestBucket; scale *= 10 {
		for b := finestBucket; b < 10*finestBucket; b = max(b+1, min(b*11/10, 99)) {
			if b*scale < longestBucket {
				add(b * scale)
			}
		}
	}
	for _, b := range []int{longestBucket, 120_000, 300_000, 900_000, 3_600_000} {
		add(b)
	}
	return strings.Join(out, ", ")
}
