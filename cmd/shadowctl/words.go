package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// byWeight orders origins by weight, largest first, then by name.
func byWeight(split map[string]int32) []string {
	return slices.SortedFunc(maps.Keys(split), func(a, b string) int {
		return cmp.Or(cmp.Compare(split[b], split[a]), cmp.Compare(a, b))
	})
}

// splitWords is "ecs 90% · eks 10%", or "100% ecs" where one has everything.
func splitWords(split map[string]int32) string {
	var parts []string
	for _, o := range byWeight(split) {
		if policy.BasisPoints(split[o]) == policy.Whole {
			return "100% " + o
		}
		if split[o] != 0 {
			parts = append(parts, o+" "+policy.FormatWeight(policy.BasisPoints(split[o])))
		}
	}
	return strings.Join(parts, " · ")
}

// milliseconds writes a time as people read it: "0.4 ms", "31 ms", "1.24 s".
func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return trimZeros(strconv.FormatFloat(ms, 'f', 1, 64)) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	}
}

// seconds writes milliseconds as seconds: "0.25 s", and finer than a hundredth only where there is nothing else: "0.004 s".
func seconds(ms float64) string {
	digits := 2
	if ms > 0 && ms < 10 {
		digits = 3
	}
	return trimZeros(strconv.FormatFloat(ms/1000, 'f', digits, 64)) + " s"
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// rate writes requests per second: "0.3", "12", "1,204".
func rate(v float64) string {
	if v != 0 && v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return thousands(strconv.FormatFloat(v, 'f', 0, 64))
}

func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// share writes a share of 1 in percent: "0%", "<0.01%", "0.52%".
func share(v float64) string {
	switch {
	case v == 0:
		return "0%"
	case v < 0.0001:
		return "<0.01%"
	default:
		return trimZeros(strconv.FormatFloat(v*100, 'f', 2, 64)) + "%"
	}
}

// ago is how long a time lies back: "12s ago", "3m ago", "5h ago", "9d ago".
func (a *app) ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	d := a.now().Sub(t.AsTime())
	if d < time.Second {
		return "now"
	}
	return short(d) + " ago"
}

// short writes a duration in its largest unit: "<1s", "12s", "3m", "5h", "9d".
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return "<1s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// count is "1 stream", "3 streams".
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ofFleets is "fleet eu", "fleets eu, us".
func ofFleets(names []string) string {
	if len(names) == 1 {
		return "fleet " + names[0]
	}
	return "fleets " + few(names)
}

// few lists names, at most five of them.
func few(names []string) string { return fewOf(names, len(names)) }

// fewOf is few for so many of which only some are named.
func fewOf(names []string, count int) string {
	names = names[:min(len(names), 5)]
	if count == len(names) {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), count-len(names))
}

// dash stands for what is not there.
func dash(s string) string { return cmp.Or(s, "-") }

// dashOr is s, or what stands for it by default.
func dashOr(s, def string) string { return cmp.Or(s, def) }
