package guard

import (
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Metric is what a guard looks at.
type Metric string

// The metrics.
const (
	P50       Metric = "p50"
	P90       Metric = "p90"
	P99       Metric = "p99"
	Mean      Metric = "mean"
	ErrorRate Metric = "errorRate" // failures of all requests, those without an answer included
	Requests  Metric = "requests"  // how many there were: a floor for traffic
)

// Spec is a guard as a user writes it. Limits are texts, since a number without a unit could mean several things.
type Spec struct {
	Name     string         // unique in its rollout
	Metric   Metric         //
	Max      string         // "10s" for latencies, "0.5%" for errorRate
	Min      string         // "100", only for requests: so many in a window
	MaxRatio float64        // times what the origin Against has in the same time; in place of Max
	Against  string         // origin
	Window   time.Duration  // what a Pass and the value that is shown cover; 0: DefaultWindow
	Requests int            // a Pass needs so many in a window; 0: DefaultMinRequests
	Failures int            // so many observations in a row must fail; 0: 1
	Settle   *time.Duration // at the start of a step nothing counts for so long; nil: DefaultSettle for latencies, 0 for errorRate
}

// Plan is what a guard must know of its rollout.
type Plan struct {
	Origins        []string      // of the service
	Candidate      string        // the origin that the rollout leads to
	Steps          int           // at least 1
	Observed       time.Duration // how long it is expected to be observed: the sum of its bakes. It may take longer
	FalseRollbacks float64       // probability of a Fail in a whole healthy rollout, all guards together; 0: DefaultFalseRollbacks
}

// Defaults and bounds.
const (
	DefaultFalseRollbacks = 0.01
	DefaultWindow         = 10 * time.Second
	DefaultMinRequests    = 20
	DefaultSettle         = 5 * time.Second
	MinWindow             = time.Second
	MaxWindow             = 10 * time.Minute
	MaxGuards             = 16
	MaxMinRequests        = 1_000_000
	MaxFailures           = 60
	MinRatio              = 1.0
	MaxRatio              = 100.0
	// FinestRatio is the resolution of the latency histogram of our proxies.
	FinestRatio = 1.1
)

// Guard is a guard that was checked. It is immutable.
type Guard struct {
	name, against string
	metric        Metric
	ratio         float64       // 0: absolute
	limit         float64       // a share, seconds or requests; absolute guards only
	duration      time.Duration // the limit of latencies
	window        time.Duration
	settle        time.Duration
	requests      uint64
	failures      int
	budget        budget
}

// Name is the name that the user gave it.
func (g *Guard) Name() string { return g.name }

// Metric is what it looks at.
func (g *Guard) Metric() Metric { return g.metric }

// Against is the origin that it compares with; empty if its limit is absolute.
func (g *Guard) Against() string { return g.against }

// Window is what a Pass covers.
func (g *Guard) Window() time.Duration { return g.window }

// latency says whether it looks at durations.
func (m Metric) latency() bool { return m == P50 || m == P90 || m == P99 || m == Mean }

// share is which share of the requests may be above the limit, of a metric that is a quantile; 0 of another.
func (m Metric) share() float64 {
	switch m {
	case P50:
		return 0.50
	case P90:
		return 0.10
	case P99:
		return 0.01
	}
	return 0
}

// Compile checks the guards of a rollout, in the order written. The errors name fields such as "guards[1].max".
func Compile(specs []Spec, plan Plan) ([]*Guard, policy.Errors) {
	var p problems
	if len(specs) > MaxGuards {
		p.add("guards", "too_many", itoa(len(specs)), "too many guards: at most "+itoa(MaxGuards)+" are allowed", "")
		return nil, p.found
	}
	rollbacks, parts := p.plan(plan), 0
	names := map[string]bool{}
	out := make([]*Guard, len(specs))
	for i := range specs {
		p.list = "guards[" + itoa(i) + "]."
		out[i] = p.guard(&specs[i], plan, names)
		if out[i].metric != Requests {
			parts++
		}
	}
	if len(p.found) > 0 {
		return nil, p.found
	}
	for _, g := range out {
		g.budget = newBudget(g, plan, rollbacks/float64(max(parts, 1)))
	}
	return out, nil
}
