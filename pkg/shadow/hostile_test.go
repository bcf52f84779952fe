package shadow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// hostile are bodies that are made to cost much, of about n bytes each.
func hostile(n int) map[string][2]string {
	repeat := func(s string) string { return strings.Repeat(s, n/len(s)) }
	nested := strings.Repeat("[1,", 9_999) + "%d" + strings.Repeat("]", 9_999)
	padded := strings.Repeat(`[" `+strings.Repeat("x", 100)+`",`, 9_999) + "%d" + strings.Repeat("]", 9_999)
	keys := func(format string, from int) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := 0; b.Len() < n; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i+from)
		}
		return b.String() + "}"
	}
	return map[string][2]string{
		"only brackets":        {repeat("["), repeat("[") + "["},
		"deep":                 {fmt.Sprintf(nested, 1), fmt.Sprintf(nested, 2)},
		"deep and wide":        {fmt.Sprintf(padded, 1), fmt.Sprintf(padded, 2)},
		"one key":              {keys(`"k":%d`, 0), keys(`"k":%d`, 1)},
		"many keys":            {keys(`"k%d":1`, 0), keys(`"k%d":1`, 1000)},
		"keys the other way":   {keys(`"k%d":1`, 0), `{"z":1,` + keys(`"k%d":1`, 0)[1:]},
		"every element":        {"[" + repeat("1,") + "1]", "[" + repeat("2,") + "1]"},
		"one more in front":    {"[" + repeat("1,2,") + "1]", "[7," + repeat("1,2,") + "1]"},
		"turned round":         {"[" + repeat("1,2,") + "1]", "[" + repeat("2,1,") + "1]"},
		"escapes":              {`"` + repeat(`\u0061`) + `"`, `"` + repeat(`a`) + `"`},
		"a long number":        {"[1" + repeat("0") + "]", "[1" + repeat("0") + ".0]"},
		"a long exponent":      {"[1e" + repeat("9") + "]", "[1e" + repeat("9") + "9]"},
		"invalid UTF-8":        {`["` + repeat("\xff\xfe") + `"]`, `["` + repeat("\xff\xfd") + `"]`},
		"lone surrogates":      {`["` + repeat(`\ud800`) + `"]`, `["` + repeat(`\udc00`) + `"]`},
		"no numbers":           {"[" + repeat("NaN,") + "1]", "[" + repeat("Infinity,") + "1]"},
		"many documents":       {repeat("1\n"), repeat("2\n")},
		"arrays of arrays":     {"[" + repeat("[1,2],[2,1],") + "0]", "[" + repeat("[2,1],[1,2],") + "0]"},
		"messages in messages": {repeat("\x0a\x7f\x0a\x7d"), repeat("\x0a\x7d\x0a\x7b")},
		"tiny fields":          {repeat("\x08\x01"), repeat("\x08\x02")},
		"tiny frames":          {repeat("\x00\x00\x00\x00\x00"), repeat("\x00\x00\x00\x00\x00") + "\x00"},
	}
}

// TestHostileBodiesAreBounded: whatever is sent, as whatever it is declared, a pair ends in bounded time with few places.
func TestHostileBodiesAreBounded(t *testing.T) {
	size := 1 << 15
	if full() {
		size = 1 << 20
	}
	rules := []rule.Rule{{Path: "$.**", Action: rule.Set}, {Path: "$.**.k", Action: rule.Tolerate, Abs: 0.1}, {Path: "$.**.x", Action: rule.Set, Key: "id"}}
	for _, rs := range [][]rule.Rule{nil, rules} {
		c, _ := newPair(t, Options{Rules: rs})
		for name, bodies := range hostile(size) {
			for _, media := range []string{"application/json", "application/grpc", "application/x-protobuf", "text/plain"} {
				for _, over := range []bool{false, true} {
					a, b := answer(200, bodies[0], "content-type: "+media), answer(200, bodies[1], "content-type: "+media)
					a.OverCap, b.OverCap = over, over
					o := c.Judge(&Pair{Method: "GET", Path: "/", Control: a, Candidate: b}, Live{}, nil)
					if len(o.Differences) > MaxDifferences+1 {
						t.Errorf("%s as %s: %d places", name, media, len(o.Differences))
					}
					for _, d := range o.Differences {
						if len(d.Path) > 400 {
							t.Errorf("%s as %s: a path of %d bytes", name, media, len(d.Path))
						}
					}
				}
			}
		}
	}
}
