package shadow

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// document makes JSON of about a size, as an API of orders would answer it. Every nth price differs by seed.
func document(size, seed int) string {
	var b strings.Builder
	b.WriteString(`{"page":1,"next":null,"items":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		price := float64(i) + 0.25
		if i%25 == 3 {
			price += float64(seed)
		}
		fmt.Fprintf(&b, `{"id":"ord-%06d","customer":{"name":"Müller & Söhne","vip":%v},"price":%g,"currency":"EUR","tags":["new","gift"],"shipped":null,"lines":[{"sku":"A-%d","qty":%d},{"sku":"B-%d","qty":1}]}`, i, i%3 == 0, price, i, i%7, i)
	}
	fmt.Fprintf(&b, `],"total":%d}`, 17+seed)
	return b.String()
}

// naive is how one compares JSON without much thought: decode both, walk both, note the paths that differ.
func naive(a, b []byte) []string {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return []string{"invalid"}
	}
	var out []string
	naiveWalk("$", x, y, &out)
	return out
}

func naiveWalk(path string, x, y any, out *[]string) {
	if reflect.DeepEqual(x, y) {
		return
	}
	p, isMap := x.(map[string]any)
	q, isMap2 := y.(map[string]any)
	if isMap && isMap2 {
		for k := range p {
			naiveWalk(path+"."+k, p[k], q[k], out)
		}
		return
	}
	s, isList := x.([]any)
	t, isList2 := y.([]any)
	if isList && isList2 && len(s) == len(t) {
		for i := range s {
			naiveWalk(path+"[*]", s[i], t[i], out)
		}
		return
	}
	*out = append(*out, path)
}

// BenchmarkPair compares one pair of JSON with a few differences, and beside it the naive way, which does no headers, no shapes, and no
// classification.
func BenchmarkPair(b *testing.B) {
	for _, size := range []int{2 << 10, 64 << 10} {
		p := &Pair{Method: "GET", Path: "/orders", Control: asJSONOf(document(size, 0)), Candidate: asJSONOf(document(size, 1))}
		equal := &Pair{Method: "GET", Path: "/orders", Control: asJSONOf(document(size, 0)), Candidate: asJSONOf(document(size, 0))}
		judge := func(p *Pair) func(*testing.B) {
			return func(b *testing.B) {
				c, _ := NewComparer(Options{Key: key})
				var o *Outcome
				b.SetBytes(int64(len(p.Control.Body)))
				b.ReportAllocs()
				for b.Loop() {
					o = c.Judge(p, Live{}, o)
				}
				b.ReportMetric(float64(len(o.Differences)), "places")
			}
		}
		name := fmt.Sprintf("%dkB/", size>>10)
		b.Run(name+"differs", judge(p))
		b.Run(name+"naive", func(b *testing.B) {
			b.SetBytes(int64(len(p.Control.Body)))
			b.ReportAllocs()
			for b.Loop() {
				naive(p.Control.Body, p.Candidate.Body)
			}
		})
		b.Run(name+"equal", judge(equal))
		b.Run(name+"naive-equal", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				naive(equal.Control.Body, equal.Candidate.Body)
			}
		})
	}
}

// TestTheNaiveWayFindsTheSame keeps the comparison of the benchmark honest.
func TestTheNaiveWayFindsTheSame(t *testing.T) {
	a, b := document(64<<10, 0), document(64<<10, 1)
	paths := naive([]byte(a), []byte(b))
	slices.Sort(paths)
	want := "json_number $.items[*].price; json_number $.total"
	if got := differences(t, Options{}, &Pair{Path: "/", Control: asJSONOf(a), Candidate: asJSONOf(b)}); got != want || !slices.Equal(slices.Compact(paths), []string{"$.items[*].price", "$.total"}) {
		t.Errorf("%s, and %v", got, slices.Compact(paths))
	}
}

// BenchmarkTally counts outcomes with a few differences.
func BenchmarkTally(b *testing.B) {
	c, tally := newPair(b, Options{})
	o := c.Judge(&Pair{Method: "GET", Path: "/orders/17", Control: asJSONOf(document(2<<10, 0)), Candidate: asJSONOf(document(2<<10, 1))}, Live{}, nil)
	b.ReportAllocs()
	for b.Loop() {
		tally.Add(o, began)
	}
}

// TestPairsCostLittle: in the steady state a pair is compared with next to no allocations, and counted with few.
func TestPairsCostLittle(t *testing.T) {
	for name, c := range map[string]struct {
		p    *Pair
		most float64
	}{
		"equal":   {&Pair{Path: "/orders/17", Control: asJSONOf(document(2<<10, 0)), Candidate: asJSONOf(document(2<<10, 0))}, 2},
		"differs": {&Pair{Path: "/orders/17", Control: asJSONOf(document(64<<10, 0)), Candidate: asJSONOf(document(64<<10, 1))}, 10},
	} {
		comparer, tally := newPair(t, Options{})
		var o *Outcome
		judge := testing.AllocsPerRun(100, func() { o = comparer.Judge(c.p, Live{}, o) })
		count := testing.AllocsPerRun(100, func() { tally.Add(o, began) })
		if judge > c.most || count > 8 {
			t.Errorf("%s: %g allocations to compare, %g to count", name, judge, count)
		}
	}
}
