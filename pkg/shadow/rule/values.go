package rule

import (
	"math"
	"strconv"
	"time"
)

// closeNumbers says whether two numbers differ by no more than abs, or than rel of the larger. Those beyond what a float holds never do.
func closeNumbers(a, b string, abs, rel float64) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return false
	}
	d := math.Abs(x - y)
	return d <= abs || d <= rel*max(math.Abs(x), math.Abs(y))
}

// closeTimes says whether two values are times of one form that differ by no more than window.
func closeTimes(a, b string, window time.Duration) bool {
	x, okX := parseTime(a)
	y, okY := parseTime(b)
	return okX && okY && x.Sub(y).Abs() <= window
}

// layouts are the forms of times as text that are read.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.RFC1123, "2006-01-02T15:04:05.999999999-0700"}

// parseTime reads a time as text, or as seconds or milliseconds since 1970 that lie between 2001 and 2100.
func parseTime(s string) (time.Time, bool) {
	if len(s) > 40 {
		return time.Time{}, false
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		switch {
		case f >= 1e9 && f < 4.2e9:
			return time.Unix(0, int64(f*1e9)), true
		case f >= 1e12 && f < 4.2e12:
			return time.UnixMicro(int64(f * 1e3)), true
		}
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
