package policy_test

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var (
	envoy137 = policy.DialectOf(37)
	envoy139 = policy.DialectOf(39)
	envoy140 = policy.DialectOf(40)
)

// pinTakes compiles a pin and asks it about a request.
func pinTakes(t *testing.T, pin *crossfadev1.Pin, q policy.Request, d policy.Dialect) bool {
	t.Helper()
	doc := orders()
	pin.Name, pin.Origin = "p", "eks"
	doc.Pins = []*crossfadev1.Pin{pin}
	return mustCompile(t, doc).Pins[0].Match.Matches(&q, d)
}

func headers(lines ...string) policy.Request {
	var q policy.Request
	for i := 0; i < len(lines); i += 2 {
		q.Headers = append(q.Headers, policy.Header{Name: lines[i], Value: lines[i+1]})
	}
	return q
}

func present(name string, yes bool) *crossfadev1.ValueMatch {
	return &crossfadev1.ValueMatch{Name: name, Condition: &crossfadev1.ValueMatch_Present{Present: yes}}
}

// Every line was seen on Envoy 1.37, 1.39 and 1.40.
func TestHeaderMatch(t *testing.T) {
	x := func(values ...string) policy.Request {
		var q policy.Request
		for _, v := range values {
			q.Headers = append(q.Headers, policy.Header{Name: "X-A", Value: v})
		}
		return q
	}
	cases := []struct {
		name   string
		match  *crossfadev1.ValueMatch
		q      policy.Request
		is137  bool
		is140  bool
		is139u bool // 1.39: repeated headers like 1.40, bytes like 1.37
	}{
		{"exact", exact("x-a", "1"), x("1"), true, true, true},
		{"exact is not prefix", exact("x-a", "1"), x("12"), false, false, false},
		{"exact keeps case", exact("x-a", "b"), x("B"), false, false, false},
		{"name in any case", exact("X-a", "1"), x("1"), true, true, true},
		{"space around is not the value", exact("x-a", "1"), x(" 1\t"), true, true, true},
		{"absent", exact("x-a", ""), x(), false, false, false},
		{"exactly empty", exact("x-a", ""), x(""), true, true, true},
		{"prefix", prefix("x-a", "be"), x("beta"), true, true, true},
		{"prefix in the middle", prefix("x-a", "be"), x("abe"), false, false, false},
		{"regex takes the whole value", regex("x-a", "a|ab"), x("ab"), true, true, true},
		{"regex is anchored", regex("x-a", "b"), x("abc"), false, false, false},
		{"regex that quotes to its end", regex("x-a", `\Qa.b`), x("a.b"), true, true, true},
		{"present", present("x-a", true), x(""), true, true, true},
		{"present when absent", present("x-a", true), x(), false, false, false},
		{"not present", present("x-a", false), x(), true, true, true},
		{"not present when there", present("x-a", false), x(""), false, false, false},
		{"repeated", exact("x-a", "1"), x("1", "2"), false, true, true},
		{"repeated, the last", exact("x-a", "2"), x("1", "2"), false, true, true},
		{"repeated, joined", exact("x-a", "1,2"), x("1", "2"), true, false, false},
		{"written as a list", exact("x-a", "1,2"), x("1,2"), true, true, true},
		{"repeated prefix", prefix("x-a", "2"), x("1", "2"), false, true, true},
		{"any value outside ASCII", regex("x-a", ".*"), x("é"), true, true, true},
		{"one letter outside ASCII", regex("x-a", "."), x("é"), true, false, true},
		{"two bytes outside ASCII", regex("x-a", ".."), x("é"), false, true, false},
		{"a byte that is not UTF-8", regex("x-a", ".*"), x("a\xff"), false, true, false},
	}
	for _, c := range cases {
		pin := func() *crossfadev1.Pin { return &crossfadev1.Pin{Match: &crossfadev1.Pin_Header{Header: c.match}} }
		for _, v := range []struct {
			minor int
			want  bool
		}{{37, c.is137}, {39, c.is139u}, {40, c.is140}} {
			if got := pinTakes(t, pin(), c.q, policy.DialectOf(v.minor)); got != v.want {
				t.Errorf("%s on 1.%d: %v, want %v", c.name, v.minor, got, v.want)
			}
		}
	}
}

func TestHeadersThatEnvoyJoins(t *testing.T) {
	for _, d := range []policy.Dialect{envoy137, envoy139, envoy140} {
		pin := func(value string) *crossfadev1.Pin {
			return &crossfadev1.Pin{Match: &crossfadev1.Pin_Header{Header: exact("User-Agent", value)}}
		}
		if q := headers("user-agent", "", "user-agent", "1", "user-agent", ""); !pinTakes(t, pin("1"), q, d) {
			t.Errorf("%+v: an empty line adds nothing", d)
		}
		if q := headers("user-agent", "", "user-agent", ""); !pinTakes(t, pin(""), q, d) {
			t.Errorf("%+v: empty lines are an empty line", d)
		}
		q := headers("user-agent", "1", "USER-AGENT", "2")
		if pinTakes(t, pin("1"), q, d) || !pinTakes(t, pin("1,2"), q, d) {
			t.Errorf("%+v: repeated user-agent headers are one line for Envoy", d)
		}
	}
}

// Every line was seen on Envoy 1.37 and 1.40.
func TestCookieMatch(t *testing.T) {
	cases := []struct {
		lines   []string
		value   string // exact; "-" means that there is no such cookie
		comment string
	}{
		{[]string{"k=1"}, "1", ""},
		{[]string{"k=2; k=1"}, "2", "the first counts"},
		{[]string{"k=2", "k=1"}, "2", "the first line counts"},
		{[]string{"a=b", "k=1"}, "1", "another line"},
		{[]string{"a=b;  k=1"}, "1", "spaces before the name"},
		{[]string{"a=b;\tk=1"}, "-", "a tab is part of the name"},
		{[]string{"k =1"}, "-", "a space after the name is part of it"},
		{[]string{"k= 4"}, " 4", "spaces of the value stay"},
		{[]string{"k=1 ; a=b"}, "1 ", "spaces of the value stay"},
		{[]string{"k"}, "-", "no sign, no cookie"},
		{[]string{"k="}, "", "empty"},
		{[]string{`k="1"`}, "1", "quotes"},
		{[]string{`k=""3""`}, `"3"`, "one pair of quotes"},
		{[]string{`k="`}, `"`, "half a pair"},
		{[]string{"K=1"}, "-", "case counts"},
		{[]string{"k=a=b"}, "a=b", "a sign in the value"},
		{[]string{";;k=1"}, "1", "empty parts"},
		{[]string{"a,k=1"}, "-", "commas do not separate"},
		{[]string{" ; = ; k=1"}, "1", "odd parts"},
	}
	for _, c := range cases {
		var q policy.Request
		for _, l := range c.lines {
			q.Headers = append(q.Headers, policy.Header{Name: "Cookie", Value: l})
		}
		there := c.value != "-"
		pin := func(m *crossfadev1.ValueMatch) *crossfadev1.Pin {
			return &crossfadev1.Pin{Match: &crossfadev1.Pin_Cookie{Cookie: m}}
		}
		for _, d := range []policy.Dialect{envoy137, envoy140} {
			if got := pinTakes(t, pin(exact("k", c.value)), q, d); got != there {
				t.Errorf("%q exact %q: %v (%s)", c.lines, c.value, got, c.comment)
			}
			if pinTakes(t, pin(present("k", true)), q, d) != there || pinTakes(t, pin(present("k", false)), q, d) == there {
				t.Errorf("%q: presence is not %v (%s)", c.lines, there, c.comment)
			}
		}
	}
}

// Every line was seen on Envoy 1.37 and 1.40.
func TestQueryMatch(t *testing.T) {
	cases := []struct {
		path, name, value string // "-" means that there is no such parameter
	}{
		{"/", "k", "-"},
		{"/?", "k", "-"},
		{"/?k=1", "k", "1"},
		{"/?k=v%20w", "k", "v%20w"},
		{"/?k=2&k=1", "k", "2"},
		{"/?k", "k", ""},
		{"/?k=", "k", ""},
		{"/?x=1&k=2", "k", "2"},
		{"/?K=1", "k", "-"},
		{"/?k=1=2", "k", "1=2"},
		{"/?a?k=1", "k", "-"},
		{"/?k=1;k=2", "k", "1;k=2"},
		{"/?&&k=1", "k", "1"},
		{"/?%6b=1", "k", "-"},
		{"/?a%20b=1", "a%20b", "1"},
		{"/?a+b=1", "a%20b", "-"},
		{"/k=1", "k", "-"},
	}
	for _, c := range cases {
		there := c.value != "-"
		pin := func(m *crossfadev1.ValueMatch) *crossfadev1.Pin {
			return &crossfadev1.Pin{Match: &crossfadev1.Pin_Query{Query: m}}
		}
		q := policy.Request{Path: c.path}
		if got := pinTakes(t, pin(exact(c.name, c.value)), q, envoy140); got != there {
			t.Errorf("%s: %s = %q: %v", c.path, c.name, c.value, got)
		}
		if pinTakes(t, pin(present(c.name, true)), q, envoy140) != there || pinTakes(t, pin(present(c.name, false)), q, envoy140) == there {
			t.Errorf("%s: presence of %s is not %v", c.path, c.name, there)
		}
	}
}
