package tree

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// TestWhatComesAfterMuchIsCompared: large values in arrays use up none of the steps, so that the rest of the document is seen.
func TestWhatComesAfterMuchIsCompared(t *testing.T) {
	a, b := strings.Repeat("A", 300_000), strings.Repeat("B", 300_000)
	nested := func(depth int, leaf string) string {
		return strings.Repeat(`["`+a[:1_000]+`",`, depth) + leaf + strings.Repeat("]", depth)
	}
	for name, c := range map[string][3]string{
		"equal arrays first":  {fmt.Sprintf(`{"images":[%q,%q],"total":10}`, a, a), fmt.Sprintf(`{"images":[%q,%q],"total":11}`, a, a), "number $.total number number"},
		"in one array":        {fmt.Sprintf(`[%q,1]`, a), fmt.Sprintf(`[%q,1]`, b), "value $[*] string string"},
		"one of one length":   {fmt.Sprintf(`[%q,%q,1]`, a, b), fmt.Sprintf(`[%q,%q,2]`, a, b), "number $[*] number number"},
		"longer, then others": {fmt.Sprintf(`{"x":[%q,%q],"y":1}`, a, a), fmt.Sprintf(`{"x":[%q,%q,1],"y":2}`, a, a), "length $.x array array; number $.y number number"},
		"deep":                {nested(500, "1"), nested(500, "2"), "number $" + strings.Repeat("[*]", 85) + "… number number"},
	} {
		if got := found(t, c[0], c[1], false); got != c[2] {
			t.Errorf("%s: %.300q, want %q", name, got, c[2])
		}
	}
}

// TestThatItWasGivenUpIsSaidOnce, by however much the steps were exceeded.
func TestThatItWasGivenUpIsSaidOnce(t *testing.T) {
	var kinds []Kind
	f := NewDiffer(func(f Found) { kinds = append(kinds, f.Kind) })
	f.steps = -1000
	for range 3 {
		f.nodes(0, 0, &rule.State{}, nil)
	}
	if len(kinds) != 1 || kinds[0] != Limit {
		t.Errorf("%v", kinds)
	}
}

// TestWhatIsToleratedIsJudgedInAnyOrder: below a set, in an array that was reordered, and in one with more elements.
func TestWhatIsToleratedIsJudgedInAnyOrder(t *testing.T) {
	close := rule.Rule{Path: "$.**.price", Action: rule.Tolerate, Abs: 0.5}
	id := rule.Rule{Path: "$.**.id", Action: rule.Tolerate, Pattern: "uuid"}
	set, keyed := rule.Rule{Path: "$.o", Action: rule.Set}, rule.Rule{Path: "$.o", Action: rule.Set, Key: "id"}
	price, two := "number $.o[*].price number number", "number $.o[*].price number number; number $.o[*].price number number"
	const uuid = `"550e8400-e29b-41d4-a716-446655440000"`
	both := `{"id":1,"price":10},{"id":2,"price":20}`
	for name, c := range map[string]struct {
		a, b, want string
		rules      []rule.Rule
	}{
		"by key":                {both, `{"id":1,"price":1000},{"id":2,"price":-5}`, two, []rule.Rule{keyed, close}},
		"by key, close":         {both, `{"id":2,"price":20.2},{"id":1,"price":10.3}`, "", []rule.Rule{keyed, close}},
		"by key, one is far":    {both, `{"id":2,"price":10},{"id":1,"price":10.3}`, price, []rule.Rule{keyed, close}},
		"a key that is close":   {both, `{"id":2,"price":20},{"id":3,"price":10}`, "missing $.o[*] object absent; added $.o[*] absent object", []rule.Rule{keyed, {Path: "$.o[*]", Action: rule.Tolerate, Abs: 5}}},
		"the same key twice":    {`{"id":1,"price":1},{"id":1,"price":9}`, `{"id":1,"price":9.1},{"id":1,"price":1.1}`, "", []rule.Rule{keyed, close}},
		"without a key":         {both, `{"id":2,"price":999},{"id":1,"price":10}`, price, []rule.Rule{set, close}},
		"by value":              {`{"price":9.9},{"price":20}`, `{"price":20.2},{"price":10.1}`, "", []rule.Rule{set, close}},
		"by no ignored value":   {`{"x":1,"price":9},{"x":2,"price":50}`, `{"x":1,"price":50.1},{"x":2,"price":9.1}`, "", []rule.Rule{set, close, {Path: "$.**.x", Action: rule.Ignore}}},
		"a pattern":             {`{"id":` + uuid + `},{"id":` + uuid + `}`, `{"id":"x"},{"id":` + uuid + `}`, "value $.o[*].id string string", []rule.Rule{set, id}},
		"a set in a set":        {`{"o":[{"price":1},{"price":2}]}`, `{"o":[{"price":2},{"price":7}]}`, strings.ReplaceAll(two, "$.o[*]", "$.o[*].o[*]"), []rule.Rule{{Path: "$.**.o", Action: rule.Set}, close}},
		"in another order":      {both, `{"id":2,"price":999},{"id":1,"price":10}`, "order $.o array array; " + price, []rule.Rule{close}},
		"in order but for that": {both, `{"id":2,"price":20.1},{"id":1,"price":10.1}`, "order $.o array array", []rule.Rule{close}},
		"one more at the end":   {both, both[:len(both)-3] + `99},{"id":3,"price":1}`, "length $.o array array; " + price, []rule.Rule{close}},
		"one more in front":     {both, `{"id":3,"price":1},` + both[:len(both)-3] + `99}`, "length $.o array array; number $.o[*].id number number; " + price + "; number $.o[*].id number number; " + price, []rule.Rule{close}},
		"tolerated from above":  {`10,20`, `10,99,5`, "length $.o array array; number $.o[*] number number", []rule.Rule{{Path: "$.o", Action: rule.Tolerate, Abs: 0.5}}},
		"one more, close":       {both, `{"id":3,"price":1},` + both[:len(both)-3] + `20.1}`, "length $.o array array", []rule.Rule{close}},
	} {
		if got := found(t, `{"o":[`+c.a+`]}`, `{"o":[`+c.b+`]}`, false, c.rules...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
