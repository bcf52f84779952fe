package probes

import (
	"strings"
	"testing"
)

// TestRepeatedHeaders: a pin that wants x-pin: b, and a client that sends a and b on two lines.
func TestRepeatedHeaders(t *testing.T) {
	const rests = "policy.Dialect: from 1.39 on a pin looks at each line of its header, before that at all of them joined by commas"
	route := func(path, matcher string) string {
		return `{match: {path: ` + path + `, headers: [{name: x-pin, ` + matcher + `}]}, route: {cluster: b}}`
	}
	each(t, setup{origins: []string{"a", "b"}, routes: "[" + strings.Join([]string{
		route("/exact", "string_match: {exact: b}"), route("/joined", `string_match: {exact: "a,b"}`), route("/not", "string_match: {exact: b}, invert_match: true"),
		route("/prefix", "string_match: {prefix: b}"), `{match: {prefix: /}, route: {cluster: a}}`,
	}, ",") + "]"}, func(b *bench) {
		oneByOne, joined := "200 b", "200 a"
		if !b.since(1, 39) {
			oneByOne, joined = joined, oneByOne
		}
		b.fact("since 1.39 repeated headers match one by one, before as one line", rests, func(b *bench) {
			same(b, "x-pin: b matches", b.get("/exact", "x-pin: a", "x-pin: b").String(), oneByOne)
			same(b, "x-pin: b… matches", b.get("/prefix", "x-pin: a", "x-pin: b").String(), oneByOne)
			same(b, "x-pin: a,b matches", b.get("/joined", "x-pin: a", "x-pin: b").String(), joined)
			same(b, "x-pin: not b matches", b.get("/not", "x-pin: a", "x-pin: b").String(), joined)
		})
		b.fact("one header matches alike on all versions", rests, func(b *bench) {
			same(b, "x-pin: b", b.get("/exact", "x-pin: b").String(), "200 b")
			same(b, "x-pin: a", b.get("/exact", "x-pin: a").String(), "200 a")
			same(b, "x-pin: a,b on one line", b.get("/joined", "x-pin: a,b").String(), "200 b")
		})
	})
}

// TestExpressionsOutsideASCII: é is one letter of two bytes.
func TestExpressionsOutsideASCII(t *testing.T) {
	const rests = "policy.Dialect: before 1.40 expressions read UTF-8, since then bytes"
	route := func(path, expression string) string {
		return `{match: {path: ` + path + `, headers: [{name: x-pin, string_match: {safe_regex: {regex: "` + expression + `"}}}]}, route: {cluster: b}}`
	}
	each(t, setup{
		origins: []string{"a", "b"},
		routes:  "[" + route("/letter", ".") + "," + route("/bytes", "..") + ", {match: {prefix: /}, route: {cluster: a}}]",
	}, func(b *bench) {
		letter, bytes := "200 b", "200 a"
		if b.since(1, 40) {
			letter, bytes = bytes, letter
		}
		b.fact("since 1.40 a dot is a byte, before a letter of UTF-8", rests, func(b *bench) {
			same(b, "one dot", b.get("/letter", "x-pin: é").String(), letter)
			same(b, "two dots", b.get("/bytes", "x-pin: é").String(), bytes)
		})
		b.fact("an expression matches the whole value", "policy.Match: expressions match all of a value", func(b *bench) {
			same(b, "one dot", b.get("/letter", "x-pin: ab").String(), "200 a")
		})
	})
}
