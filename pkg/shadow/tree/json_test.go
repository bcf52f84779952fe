package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// found returns what differs between two documents of JSON, a line each: kind, path, types.
func found(t testing.TB, a, b string, prefix bool, rules ...rule.Rule) string {
	t.Helper()
	var x, y Doc
	if err := x.ReadJSON([]byte(a), prefix); err != nil {
		t.Fatal(err)
	}
	if err := y.ReadJSON([]byte(b), prefix); err != nil {
		t.Fatal(err)
	}
	set, errs := rule.Compile(rules)
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	var out []string
	NewDiffer(func(f Found) {
		line := fmt.Sprintf("%s %s %s %s", kindNames[f.Kind], f.Path, f.Control.Type, f.Other.Type)
		if f.Must {
			line += " must"
		}
		out = append(out, line)
	}).Diff(&x, &y, set.View(0))
	return strings.Join(out, "; ")
}

var kindNames = [...]string{"missing", "added", "type", "value", "number", "length", "order", "limit"}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		a, b, want string
		rules      []rule.Rule
	}{
		{a: `{"a":1,"b":[1,2]}`, b: ` { "b" : [1, 2] , "a":1.0 } `},
		{a: `[100, 1e2, 0.5, -0]`, b: `[1.00e2, 100.0, 5e-1, 0]`},
		{a: `{"a":"\u00e9\n"}`, b: "{\"a\":\"é\\n\"}"},
		{a: `{"\u0061":1}`, b: `{"a":1}`},
		{a: `"\ud800"`, b: `"\ud800"`},
		{a: `"\ud83d\ude00"`, b: `"😀"`},
		{a: `{"a":1}`, b: `{"a":2}`, want: "number $.a number number"},
		{a: `{"a":1,"c":1}`, b: `{"b":2,"c":2}`, want: "missing $.a number absent; added $.b absent number; number $.c number number"},
		{a: `{"a":null}`, b: `{}`, want: "missing $.a null absent"},
		{a: `{"a":null}`, b: `{"a":0}`, want: "type $.a null number"},
		{a: `{"a":true}`, b: `{"a":false}`, want: "value $.a bool bool"},
		{a: `{"a":NaN}`, b: `{"a":1}`, want: "type $.a nan number"},
		{a: `{"a":NaN}`, b: `{"a":-Infinity}`, want: "value $.a nan nan"},
		{a: `[1,2,3]`, b: `[3,2,1]`, want: "order $ array array"},
		{a: `[1,2,3]`, b: `[1,3]`, want: "length $ array array"},
		{a: `[{"a":1},{"a":2}]`, b: `[{"a":1},{"a":3}]`, want: "number $[*].a number number"},
		{a: `[1,2]`, b: `{"a":1}`, want: "type $ array object"},
		{a: `{"a":1,"a":2}`, b: `{"a":1,"a":3}`, want: "number $.a number number"},
		{a: `{"a":1,"a":2}`, b: `{"a":1}`, want: "missing $.a number absent"},
		{a: `1e400`, b: `1e401`, want: "number $ number number"},
		{a: `1e99999999999999999999`, b: `1e99999999999999999999`},
		{a: `1e99999999999999999999`, b: `1e99999999999999999998`, want: "number $ number number"},
		{a: "{\"a\":1}\n{\"a\":2}\n", b: "{\"a\":1}\n{\"a\":3}", want: "number $[*].a number number"},
		{a: `{"alice@example.com":1}`, b: `{"alice@example.com":2}`, want: "number $.{key} number number"},
		{a: `{"a":{"ts":1,"v":1}}`, b: `{"a":{"ts":2,"v":2}}`, want: "number $.a.v number number", rules: []rule.Rule{{Path: "$.**.ts", Action: rule.Ignore}}},
		{a: `{"m":{"a":1,"v":1}}`, b: `{"m":{"a":2,"v":2}}`, want: "number $.m.v number number must", rules: []rule.Rule{{Path: "$.m", Action: rule.Ignore}, {Path: "$.m.v", Action: rule.MustEqual}}},
		{a: `{"a":1.001,"b":5}`, b: `{"a":1.002,"b":6}`, want: "number $.b number number", rules: []rule.Rule{{Path: "$.*", Action: rule.Tolerate, Rel: 0.01}}},
		{a: `{"t":"2024-01-01T00:00:00Z"}`, b: `{"t":"2024-01-01T00:00:03+00:00"}`, rules: []rule.Rule{{Path: "$.t", Action: rule.Tolerate, Window: 5e9}}},
		{a: `{"t":"550e8400-e29b-41d4-a716-446655440000"}`, b: `{"t":"650e8400-e29b-41d4-a716-446655440000"}`, rules: []rule.Rule{{Path: "$.t", Action: rule.Tolerate, Pattern: "uuid"}}},
		{a: `{"s":[1,2,3]}`, b: `{"s":[3,1,2]}`, rules: []rule.Rule{{Path: "$.s", Action: rule.Set}}},
		{a: `{"s":[1,2,3]}`, b: `{"s":[4,1,2]}`, want: "number $.s[*] number number", rules: []rule.Rule{{Path: "$.s", Action: rule.Set}}},
		{a: `[{"id":1,"v":1},{"id":2,"v":2}]`, b: `[{"id":2,"v":3},{"id":1,"v":1}]`, want: "number $[*].v number number", rules: []rule.Rule{{Path: "$", Action: rule.Set, Key: "id"}}},
		{a: `[{"id":1},{"id":2}]`, b: `[{"id":3},{"id":1}]`, want: "missing $[*] object absent; added $[*] absent object", rules: []rule.Rule{{Path: "$", Action: rule.Set, Key: "id"}}},
		{a: `[{"id":1,"t":1},{"id":2,"t":2}]`, b: `[{"id":2,"t":3},{"id":1,"t":4}]`, want: "order $ array array", rules: []rule.Rule{{Path: "$[*].t", Action: rule.Ignore}}},
		{a: `{"m":{"ann":1}}`, b: `{"m":{"ann":2}}`, want: "number $.m.{key} number number", rules: []rule.Rule{{Path: "$.m", Action: rule.Map}}},
	} {
		if got := found(t, c.a, c.b, false, c.rules...); got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestPrefixesAreComparedAsFarAsTheyGo(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{`{"a":1,"b":[1,2,`, `{"a":2,"b":[1,3,4],"c":1`, "number $.a number number; number $.b[*] number number"},
		{`{"a":"abc`, `{"a":"abcdef","b":1}`, ""},
		{`{"a":"abc`, `{"a":"abx`, "value $.a string string"},
		{`{"a":"abcd`, `{"a":"abc","b":1}`, "value $.a string string"},
		{`{"a":12`, `{"a":13`, ""},
		{`{"a":tr`, `{"a":false`, ""},
		{``, `{"a":1}`, ""},
		{`{"a":1,"a\u00`, `{"b":1`, ""},
		{`[[[`, `[[[1]]]`, ""},
	} {
		if got := found(t, c.a, c.b, true); got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestWhatIsNoJSON(t *testing.T) {
	var d Doc
	for _, s := range []string{"", " ", "{", "[1,", "[1,]", `{"a"}`, `{"a":}`, `{a:1}`, "01", "1.", "1e", "-", "+1", "nul", "tru", `"\x"`, `"\u12g4"`, "\"a\nb\"", "[1}", "{]", "]", ",", `"abc`, `{"a":1,}`, "NaNN", "[1 2]", "<html>"} {
		if err := d.ReadJSON([]byte(s), false); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if err := d.ReadJSON([]byte(strings.Repeat("[", MaxDepth+1)), true); !errors.Is(err, ErrDeep) {
		t.Error(err)
	}
}

func TestDeepDocuments(t *testing.T) {
	deep := func(leaf string) string {
		return strings.Repeat(`[{"a":`, MaxDepth/2) + leaf + strings.Repeat("}]", MaxDepth/2)
	}
	got := found(t, deep("1"), deep("2"), false)
	if !strings.HasPrefix(got, "number $[*].a") || !strings.Contains(got, "… number number") || len(got) > 300 {
		t.Errorf("%.400s", got)
	}
	wide := "[" + strings.Repeat("1,", MaxNodes) + "1]"
	if got := found(t, wide, strings.Replace(wide, "1,", "2,", 1), false); got != "number $[*] number number" {
		t.Errorf("%.400s", got)
	}
}

// FuzzJSON: whatever encoding/json takes is taken and equal to itself in its canonical form; nothing panics; differences are symmetric.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}],"c":"\u00e9"}`, `[1e5,-0.10,true]`, `{"a":1,"a":2}`, `"\ud800"`, "1 2", `{"a":`} {
		f.Add([]byte(s), []byte(`{"a":[2,1]}`))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var x, y Doc
		errX, errY := x.ReadJSON(a, false), y.ReadJSON(b, false)
		if json.Valid(a) && errX != nil {
			t.Fatalf("%q is valid: %v", a, errX)
		}
		kinds := map[Kind]int{}
		d := NewDiffer(func(f Found) { kinds[f.Kind]++ })
		if errX == nil {
			if d.Diff(&x, &x, nil); len(kinds) > 0 {
				t.Fatalf("%q differs from itself: %v", a, kinds)
			}
		}
		if errX == nil && errY == nil {
			d.Diff(&x, &y, nil)
			forth := fmt.Sprint(kinds[Missing], kinds[Added], kinds[Type], kinds[Value], kinds[Number], kinds[Length], kinds[Order])
			clear(kinds)
			d.Diff(&y, &x, nil)
			if back := fmt.Sprint(kinds[Added], kinds[Missing], kinds[Type], kinds[Value], kinds[Number], kinds[Length], kinds[Order]); back != forth {
				t.Fatalf("%q and %q: %s, and %s the other way", a, b, forth, back)
			}
			clear(kinds)
		}
		if err := x.ReadJSON(a, true); err == nil {
			if errY := y.ReadJSON(b, true); errY == nil {
				d.Diff(&x, &y, nil)
			}
			if errY := y.ReadJSON(a[:len(a)/2], true); errY == nil && json.Valid(a) {
				clear(kinds)
				if d.Diff(&x, &y, nil); len(kinds) > 0 && !strings.Contains(string(a), `"`) {
					t.Fatalf("%q differs from its first half: %v", a, kinds)
				}
			}
		}
	})
}
