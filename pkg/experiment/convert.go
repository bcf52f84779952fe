package experiment

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// reportOf is a report of counts in the form of the API.
func reportOf(r *shadow.Report) *crossfadev1.MirrorReport {
	out := &crossfadev1.MirrorReport{
		Mirrored: int64(r.Mirrored), Compared: int64(r.Compared), Unrepresentative: int64(r.Unrepresentative), TargetFailed: int64(r.TargetFailed),
		Answered: int64(r.Answered), OverCap: int64(r.OverCap), Slower: r.Slower, SlowerP: r.SlowerP, Blind: int32(r.Blind),
		Dropped: map[string]int64{}, Reasons: map[string]int64{}, Latency: map[string]*crossfadev1.MirrorLatency{},
	}
	for cause, n := range r.Dropped {
		out.Dropped[cause] = int64(n)
	}
	for reason, n := range r.Reasons {
		out.Reasons[string(reason)] = int64(n)
	}
	rows := slices.Clone(r.Differences) // what was remembered to be a finding moves to the front
	slices.SortStableFunc(rows, func(a, b shadow.Row) int { return cmp.Compare(a.State.Rank(), b.State.Rank()) })
	for i := range rows {
		out.Differences = append(out.Differences, differenceOf(&rows[i]))
	}
	for _, e := range r.Endpoints {
		out.Endpoints = append(out.Endpoints, &crossfadev1.MirrorEndpoint{
			Endpoint: e.Endpoint, Compared: int64(e.Compared), Unrepresentative: int64(e.Unrepresentative), Detectable: e.Detectable,
		})
	}
	for origin, l := range r.Latency {
		out.Latency[origin] = &crossfadev1.MirrorLatency{P50: milliseconds(l.P50), P90: milliseconds(l.P90), P99: milliseconds(l.P99)}
	}
	return out
}

func milliseconds(d shadow.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func differenceOf(r *shadow.Row) *crossfadev1.MirrorDifference {
	out := &crossfadev1.MirrorDifference{
		Endpoint: r.Endpoint, Kind: string(r.Kind), Path: r.Path, Count: int64(r.Count), Compared: int64(r.Compared), Rate: r.Rate, Low: r.Low, High: r.High,
		NoiseRate: r.NoiseRate, NoisePool: int64(r.NoisePool), FirstSeen: timestamppb.New(r.FirstSeen), LastSeen: timestamppb.New(r.LastSeen), State: string(r.State),
		OddCandidate: int64(r.Odd[0]), OddControl: int64(r.Odd[1]), AskedAgain: int64(r.Asked),
		Example: &crossfadev1.MirrorExample{Control: shapeOf(r.Example.Control), Candidate: shapeOf(r.Example.Candidate)},
	}
	for _, v := range r.Variants {
		out.Variants = append(out.Variants, &crossfadev1.MirrorVariant{Control: v.Control, Candidate: v.Candidate, Count: int64(v.Count)})
	}
	return out
}

func shapeOf(s shadow.Shape) *crossfadev1.MirrorShape {
	return &crossfadev1.MirrorShape{Type: s.Type, Length: int64(s.Length), Hash: s.Hash, Value: s.Value}
}

// mergeSeen adds up paths that were seen, the most frequent first. What is excluded for its query or a header is apart from what is not.
func mergeSeen(a, b []*crossfadev1.MirrorPath) []*crossfadev1.MirrorPath {
	type key struct{ method, endpoint, excluded string }
	sums := map[key]*crossfadev1.MirrorPath{}
	for _, p := range slices.Concat(a, b) {
		k := key{p.GetMethod(), p.GetEndpoint(), p.GetExcluded()}
		s := sums[k]
		if s == nil {
			s = &crossfadev1.MirrorPath{Method: k.method, Endpoint: k.endpoint, Excluded: k.excluded}
			sums[k] = s
		}
		s.Count += p.GetCount()
	}
	out := make([]*crossfadev1.MirrorPath, 0, len(sums))
	for _, s := range sums {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y *crossfadev1.MirrorPath) int {
		return cmp.Or(cmp.Compare(y.GetCount(), x.GetCount()), cmp.Compare(x.GetEndpoint(), y.GetEndpoint()), cmp.Compare(x.GetMethod(), y.GetMethod()),
			cmp.Compare(x.GetExcluded(), y.GetExcluded()))
	})
	return out[:min(len(out), maxSeen)]
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}
