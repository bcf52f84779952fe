package shadow

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Report is what is known of an experiment, in the form of the API.
type Report struct {
	Verdict Verdict `json:"verdict"`
	Why     []Why   `json:"why,omitempty"`
	// Mirrored = Compared + Unrepresentative + TargetFailed + Answered + the sum of Dropped.
	Mirrored         uint64             `json:"mirrored"`
	Compared         uint64             `json:"compared"`
	Unrepresentative uint64             `json:"unrepresentative"`
	TargetFailed     uint64             `json:"targetFailed"`       // control gave no answer; in dark mode, the candidate gave none
	Answered         uint64             `json:"answered,omitempty"` // by the candidate, in dark mode
	Dropped          map[string]uint64  `json:"dropped"`
	Reasons          map[Reason]uint64  `json:"reasons,omitempty"` // of those that are unrepresentative or failed
	OverCap          uint64             `json:"overCap,omitempty"` // of those compared: only their beginning was
	Differences      []Row              `json:"differences"`
	Blind            int                `json:"blind,omitempty"` // places at which nothing can be found
	Endpoints        []Endpoint         `json:"endpoints,omitempty"`
	Latency          map[string]Latency `json:"latency,omitempty"`
	// Slower is the probability that the candidate's answer takes longer than the control's (0.5: no difference), and SlowerP that of so much
	// if there is no difference. Control's caches are warm from live traffic.
	Slower  float64 `json:"slower,omitempty"`
	SlowerP float64 `json:"slowerP,omitempty"`
}

// Row is one way in which answers of an endpoint differ.
type Row struct {
	Endpoint  string    `json:"endpoint"`
	Kind      Kind      `json:"kind"`
	Path      string    `json:"path"`
	State     State     `json:"state"`
	Count     uint64    `json:"count"`     // pairs
	Compared  uint64    `json:"compared"`  // of so many
	Rate      float64   `json:"rate"`      // count/compared
	Low       float64   `json:"low"`       // of the rate, with a confidence of 95 %
	High      float64   `json:"high"`      //
	NoiseRate float64   `json:"noiseRate"` // how often control differs from itself
	NoisePool uint64    `json:"noisePool"` // of so many pairs
	Odd       [2]uint64 `json:"odd"`       // of three answers, how often the candidate's was the odd one, and how often one of control's
	Asked     uint64    `json:"asked"`     // beside the noise pool: how often control was asked again because of this difference
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Example   Example   `json:"example"`
	Variants  []Variant `json:"variants,omitempty"` // the most frequent pairs of values, of statuses and failures
}

// Example is both sides of the first such difference, redacted.
type Example struct {
	Control   Shape `json:"control"`
	Candidate Shape `json:"candidate"`
}

// State is what a difference is taken for.
type State string

// The states of differences.
const (
	Finding State = "finding" // beyond noise, or a rule demands equality
	Open    State = "open"    // more than noise would explain, but not yet proven
	Noise   State = "noise"   // noise explains it, or too little is known of so rare a difference
	Blind   State = "blind"   // noise explains it, and is in most answers: what the candidate adds cannot be seen
)

// Rank orders states as reports do: what has to be looked at first is first.
func (s State) Rank() int {
	return map[State]int{Finding: 0, Open: 1, Noise: 2, Blind: 3}[s]
}

// Endpoint is what was seen of one endpoint.
type Endpoint struct {
	Endpoint         string `json:"endpoint"`
	Compared         uint64 `json:"compared"`
	Unrepresentative uint64 `json:"unrepresentative"`
	// Detectable is the rate above which a difference would have been found with a probability of 99.9 %, where there is no noise and control is
	// asked again for each difference; 1 if none would.
	Detectable float64 `json:"detectable"`
}

// Latency is of the answers of one side.
type Latency struct {
	P50 Duration `json:"p50"`
	P90 Duration `json:"p90"`
	P99 Duration `json:"p99"`
}

// Duration is one that is text in JSON: "1.5s".
type Duration time.Duration

// MarshalText writes it as the API does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// MaxRows is how many differences a report lists. They are in order of [State.Rank], then of count.
const MaxRows = 1000

// Report says what is known, and judges it. What was a finding once stays one.
func (t *Tally) Report(p Policy) *Report {
	r := &Report{Compared: t.compared, Answered: t.answered, OverCap: t.overCap, Dropped: map[string]uint64{}, Reasons: map[Reason]uint64{}, Differences: []Row{}}
	addAll(r.Dropped, t.dropped)
	addAll(r.Reasons, t.targetFailed)
	r.TargetFailed = sum(t.targetFailed)
	addAll(r.Reasons, t.unrepresentative)
	if one := min(t.bodies.one(), t.compared); one > 0 && !p.OneBody {
		r.Reasons[ReasonOneBody] += one
		r.Compared -= one
	}
	r.Unrepresentative = sum(t.unrepresentative) + t.compared - r.Compared
	r.Mirrored = r.Compared + r.Unrepresentative + r.TargetFailed + r.Answered + sum(t.dropped)
	for _, e := range sortedKeys(t.endpoints) {
		s := t.endpoints[e]
		r.Endpoints = append(r.Endpoints, Endpoint{e, s.compared, s.unrepresentative, round(detectable(s.compared))})
		for _, at := range sortedPlaces(s.cells) {
			if c := s.cells[at]; c.count > 0 {
				r.Differences = append(r.Differences, row(e, at, s, c))
			}
		}
	}
	slices.SortStableFunc(r.Differences, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.State.Rank(), b.State.Rank()), cmp.Compare(b.Count, a.Count))
	})
	t.judge(r, p)
	r.Differences = r.Differences[:min(len(r.Differences), MaxRows)]
	t.addLatency(r, p)
	return r
}

func row(e string, at place, s *stat, c *cell) Row {
	low, high := stats.Interval(c.count, s.compared, 0.95)
	out := Row{
		Endpoint: e, Kind: at.kind, Path: at.path, State: c.state(s), Count: c.count, Compared: s.compared, Rate: rate(c.count, s.compared), Low: round(low), High: round(high),
		NoiseRate: rate(c.noise, s.twice), NoisePool: s.twice, Odd: [2]uint64{c.evidence.Candidate, c.evidence.Control}, Asked: c.asked,
		FirstSeen: c.first.UTC(), LastSeen: c.last.UTC(), Example: Example{c.example[0], c.example[1]}, Variants: c.shownVariants(),
	}
	return out
}

func rate(x, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return round(float64(x) / float64(n))
}

// round keeps six digits behind the point: more are not known, and might not be the same on every machine.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }

func sum[K comparable](m map[K]uint64) uint64 {
	total := uint64(0)
	for _, n := range m {
		total += n
	}
	return total
}

func sortedPlaces(cells map[place]*cell) []place {
	out := make([]place, 0, len(cells))
	for p := range cells {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind)) })
	return out
}

// addLatency fills in the durations of each side that has answered.
func (t *Tally) addLatency(r *Report, p Policy) {
	for i, side := range [2]string{cmp.Or(p.Control, "control"), cmp.Or(p.Candidate, "candidate")} {
		if t.latency[i].N == 0 {
			continue
		}
		if r.Latency == nil {
			r.Latency = map[string]Latency{}
		}
		at := func(q float64) Duration { return Duration(t.latency[i].Quantile(q)) }
		r.Latency[side] = Latency{at(0.5), at(0.9), at(0.99)}
	}
	if t.latency[0].N == 0 || t.latency[1].N == 0 {
		return
	}
	c := stats.Compare(&t.latency[0], &t.latency[1])
	r.Slower, r.SlowerP = round(c.Slower), round(c.P)
}
