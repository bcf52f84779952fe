package telemetry

import (
	"strconv"
	"strings"
	"time"
)

// interval is what one flush of a proxy says about the service of a change.
type interval struct {
	from, to time.Time // by our clock; late by at most the proxy's fastest delay
	arrived  time.Time
	away     []seen // by index of Change.Away
	requests uint64 // picks of the origins of Change.Toward
	complete bool   // everything that was counted from from to to is in it
	gap      bool   // nothing is known of the time between it and the interval before
}

// seen is what an interval says of one origin.
type seen struct {
	picks  uint64
	health health
}

// health says how an origin did in one flush of one proxy.
type health struct {
	used      bool // something was counted
	answering bool // it answered, and no request had to wait for a connection or got none
}

// healthOf judges an origin by a flush. Where it is answering, the proxy has idle connections to it: a request that picks it gets one at once
// and shows in load reports, which do not see requests that wait.
func healthOf(c *Counts) health {
	if c == nil || *c == (Counts{}) {
		return health{}
	}
	return health{
		used:      true,
		answering: c.Started > 0 && c.Answers() > 0 && c.Queued == 0 && c.failures() == 0 && c.Reset == 0 && c.Timeout == 0 && c.Hidden == 0,
	}
}

// round is what one load report of a proxy says about the service of a change.
type round struct {
	notBefore time.Time // it began then or later, by our clock
	arrived   time.Time // it ended then or earlier
	length    time.Duration
	away      []load // by index of Change.Away
	requests  uint64 // issued at the origins of Change.Toward
	complete  bool   // every origin of Away was reported on
}

// load is what a round says of one origin.
type load struct {
	issued, failed uint64
	open           uint64 // requests in progress at its end
}

// version is that of an Envoy; zero if unknown.
type version struct{ major, minor, patch uint32 }

func (v version) String() string {
	if v == (version{}) {
		return ""
	}
	parts := []string{}
	for _, n := range []uint32{v.major, v.minor, v.patch} {
		parts = append(parts, strconv.FormatUint(uint64(n), 10))
	}
	return strings.Join(parts, ".")
}

// inclusiveBuckets says how this version sorts latencies into buckets, see [layout]. An unknown version counts as a new one.
func (v version) inclusiveBuckets() bool { return v.major != 1 || v.minor > 37 }

// reportsFailures says whether load reports of this version hold requests that failed to connect: 1.37 leaves them out for ever.
func (v version) reportsFailures() bool { return v.major > 1 || v.major == 1 && v.minor >= 40 }
