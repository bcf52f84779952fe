package probes

import (
	"fmt"
	"testing"
)

// TestFractions: the levers that switch a route on and off, and shares of it. By default /off is 0 over a million, /on all of it; a value that
// falls back leaves them so.
func TestFractions(t *testing.T) {
	const (
		switches = "translate.Layer: a switch that is on travels as 100, one that is off as 0"
		shares   = "translate.Layer: shares between travel as {numerator, denominator: MILLION}"
		strict   = "translate.Layer: levers are typed in Go and rendered in one place"
	)
	pin := func(path, numerator string) string {
		return fmt.Sprintf(`{match: {path: %s, runtime_fraction: {default_value: {numerator: %s, denominator: MILLION}, runtime_key: f}}, route: {cluster: b}}`, path, numerator)
	}
	all, nothing, some, byDefault := []string{"200 b"}, []string{"200 a"}, []string{"200 a", "200 b"}, []string(nil)
	each(t, setup{
		origins: []string{"a", "b"}, levers: "{}",
		routes: "[" + fence + "," + pin("/off", "0") + "," + pin("/on", "1000000") + ", {match: {prefix: /}, route: {cluster: a}}]",
	}, func(b *bench) {
		for _, c := range []struct {
			is, rests, value string
			want             []string
		}{
			{"a bare number is per cent, whatever the default's denominator", switches, "50", some},
			{"100 is everything", switches, "100", all},
			{"0 is nothing", switches, "0", nothing},
			{"above 100 is everything", switches, "101", all},
			{"a numerator with a denominator is a share", shares, "{numerator: 500000, denominator: MILLION}", some},
			{"a numerator as large as its denominator is everything", shares, "{numerator: 1000000, denominator: MILLION}", all},
			{"a numerator of 0 is nothing", shares, "{numerator: 0, denominator: MILLION}", nothing},
			{"a numerator above its denominator is everything", shares, "{numerator: 1000001, denominator: MILLION}", all},
			{"a numerator without a denominator is per cent", shares, "{numerator: 50}", some},
			{"a numerator of -1 is everything", strict, "{numerator: -1, denominator: MILLION}", all},
			{"a bare negative number falls back to the default", strict, "-1", byDefault},
			{"a bare fraction is cut to a whole number", strict, "0.9", nothing},
			{"a number as text is per cent", strict, `"50"`, some},
			{"other text falls back to the default", strict, "everything", byDefault},
			{"true falls back to the default", strict, "true", byDefault},
			{"a denominator that is not there falls back to the default", strict, "{numerator: 50, denominator: DOZEN}", byDefault},
		} {
			b.fact(c.is, c.rests, func(b *bench) {
				b.pull("{f: " + c.value + "}")
				off, on := c.want, c.want
				if c.want == nil {
					off, on = nothing, all
				}
				b.want("/off", off...)
				b.want("/on", on...)
			})
		}
	})
}
