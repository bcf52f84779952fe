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
		Answered: int64(r.Answered), OverCap: int64(r.OverCap), Slower: r.Slower, SlowerP: r.SlowerP,
		Dropped: map[string]int64{}, Reasons: map[string]int64{}, Latency: map[string]*crossfadev1.MirrorLatency{},
	}
	for cause, n := range r.Dropped {
		out.Dropped[cause] = int64(n)
	}
	for reason, n := range r.Reasons {
		out.Reasons[string(reason)] = int64(n)
	}
	for i := range r.Differences {
		out.Differences = append(out.Differences, differenceOf(&r.Differences[i]))
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
	return &crossfadev1.MirrorDifference{
		Endpoint: r.Endpoint, Kind: string(r.Kind), Path: r.Path, Count: int64(r.Count), Compared: int64(r.Compared), Rate: r.Rate, Low: r.Low, High: r.High,
		NoiseRate: r.NoiseRate, NoisePool: int64(r.NoisePool), FirstSeen: timestamppb.New(r.FirstSeen), LastSeen: timestamppb.New(r.LastSeen), State: string(r.State),
		OddCandidate: int64(r.Odd[0]), OddControl: int64(r.Odd[1]),
		Example: &crossfadev1.MirrorExample{Control: shapeOf(r.Example.Control), Candidate: shapeOf(r.Example.Candidate)},
	}
}

func shapeOf(s shadow.Shape) *crossfadev1.MirrorShape {
	return &crossfadev1.MirrorShape{Type: s.Type, Length: int64(s.Length), Hash: s.Hash, Value: s.Value}
}

// mergeSeen adds up paths that were seen, the most frequent first.
func mergeSeen(a, b []*crossfadev1.MirrorPath) []*crossfadev1.MirrorPath {
	type key struct{ method, endpoint string }
	sums := map[key]*crossfadev1.MirrorPath{}
	for _, p := range slices.Concat(a, b) {
		k := key{p.GetMethod(), p.GetEndpoint()}
		s := sums[k]
		if s == nil {
			s = &crossfadev1.MirrorPath{Method: k.method, Endpoint: k.endpoint}
			sums[k] = s
		}
		s.Count += p.GetCount()
		s.Excluded = cmp.Or(s.Excluded, p.GetExcluded())
	}
	out := make([]*crossfadev1.MirrorPath, 0, len(sums))
	for _, s := range sums {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y *crossfadev1.MirrorPath) int {
		return cmp.Or(cmp.Compare(y.GetCount(), x.GetCount()), cmp.Compare(x.GetEndpoint(), y.GetEndpoint()), cmp.Compare(x.GetMethod(), y.GetMethod()))
	})
	return out[:min(len(out), maxSeen)]
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}
