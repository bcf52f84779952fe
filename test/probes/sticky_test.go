package probes

import (
	"fmt"
	"strings"
	"testing"
)

// users is how many come.
const users = 200

// hashed is a route of its own for each row of "CLUSTER WEIGHT", all with the same hash: a user stands at the same point in each.
func hashed(rows ...string) string {
	var out []string
	for i, row := range rows {
		var list []string
		for entry := range strings.SplitSeq(row, ", ") {
			name, weight, _ := strings.Cut(entry, " ")
			list = append(list, fmt.Sprintf("{name: %s, weight: %s}", name, weight))
		}
		out = append(out, fmt.Sprintf(`{match: {path: /%d}, route: {hash_policy: [{header: {header_name: x-user}}], weighted_clusters: {use_hash_policy: true, clusters: [%s]}}}`,
			i, strings.Join(list, ", ")))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// wrong counts the users who move, from one row to another, from an origin that does not lose or to one that does not gain.
func (b *bench) wrong(from, to int, gains, loses string) int {
	b.t.Helper()
	n := 0
	for u := range users {
		user := fmt.Sprintf("x-user: u%d", u)
		was, is := b.get(fmt.Sprint("/", from), user).origin, b.get(fmt.Sprint("/", to), user).origin
		if was == "" || is == "" {
			b.t.Fatalf("%q, %q: no origin answered", was, is)
		}
		if was != is && !(strings.Contains(gains, is) && strings.Contains(loses, was)) {
			n++
		}
	}
	return n
}

// TestRows: a hash picks a point in the row of clusters, as wide as their weights.
func TestRows(t *testing.T) {
	const row = "translate.order and docs/design/sticky.md: the row decides who moves; of three the primary stands in the middle"
	each(t, setup{origins: []string{"a", "b", "c"}, routes: hashed(
		"a 100, b 0", "a 90, b 10", "a 50, b 50", "a 1, b 99", "a 0, b 100",
		"a 80, b 20, c 0", "a 70, b 20, c 10",
		"b 20, a 80, c 0", "b 20, a 70, c 10",
		"a 80, b 20", "a 70, c 10, b 20", "a 60, b 10, c 10, b 20",
	)}, func(b *bench) {
		b.fact("of two origins nobody moves back on a rising ramp", row, func(b *bench) {
			for i := range 4 {
				same(b, fmt.Sprintf("wrong moves in step %d", i+1), b.wrong(i, i+1, "b", "a"), 0)
			}
		})
		b.fact("of three in the order a b c, weight from a to c moves users of b", row, func(b *bench) {
			if b.wrong(5, 6, "c", "a") == 0 {
				b.t.Error("nobody moved against the change")
			}
		})
		b.fact("with the one that loses in the middle, only its users move", row, func(b *bench) {
			same(b, "wrong moves", b.wrong(7, 8, "c", "a"), 0)
		})
		b.fact("a cluster listed twice, as ranges, moves nobody else either", "docs/design/sticky.md: tried and not chosen, for its weights are not levers", func(b *bench) {
			same(b, "wrong moves, a to c", b.wrong(9, 10, "c", "a"), 0)
			same(b, "wrong moves, a to b", b.wrong(10, 11, "b", "a"), 0)
		})
		b.fact("without hash input the pick is random", "translate.hashPolicies: a request without the header is drawn", func(b *bench) {
			b.want("/2", "200 a", "200 b")
		})
	})
}

const half = `weighted_clusters: {use_hash_policy: true, clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}`

// strays counts the clients whose second request, with the cookies of the first answer, goes elsewhere.
func (b *bench) strays(path string) int {
	b.t.Helper()
	n := 0
	for range users {
		first := b.get(path)
		cookie, _, _ := strings.Cut(first.header.Get("set-cookie"), ";")
		if cookie == "" {
			b.t.Fatalf("%s sets no cookie: %v", path, first.header)
		}
		if b.get(path, "Cookie: "+cookie).origin != first.origin {
			n++
		}
	}
	return n
}

// TestCookieOfEnvoy: its own way.
func TestCookieOfEnvoy(t *testing.T) {
	const rests = "docs/design/sticky.md: the cookie is ours, made from a key that the request has before the route is chosen"
	own := setup{origins: []string{"a", "b"}, routes: `[{match: {prefix: /}, route: {hash_policy: [{cookie: {name: cf, ttl: 3600s}}], ` + half + `}}]`}
	each(t, own, func(b *bench) {
		b.fact("Envoy makes no cookie for a split alone", rests, func(b *bench) {
			for range tries {
				same(b, "set-cookie", b.get("/").header.Get("set-cookie"), "")
			}
		})
	})
	own.cluster = `{lb_policy: RING_HASH}`
	each(t, own, func(b *bench) {
		b.fact("for clusters that balance by hash it does, after the origin is picked: clients change sides", rests, func(b *bench) {
			if b.strays("/") == 0 {
				b.t.Error("nobody changed sides")
			}
		})
	})
}

// TestCookieFromTheFirstRequest: the recipe.
func TestCookieFromTheFirstRequest(t *testing.T) {
	const (
		rests = "docs/design/sticky.md: the listener gives each request a key before the route is chosen"
		edge  = `early_header_mutation_extensions: [{name: key, typed_config: {"@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation,
			mutations: [{append: {append_action: OVERWRITE_IF_EXISTS_OR_ADD, header: {key: x-key, value: "%START_TIME(%s%9f)%-%CONNECTION_ID%"}}},
				{append: {append_action: OVERWRITE_IF_EXISTS_OR_ADD, header: {key: x-unique, value: "%UNIQUE_ID%"}}}]}}]`
		add = `response_headers_to_add: [{header: {key: set-cookie, value: "cf=%s"}}, {header: {key: x-again, value: "%%UNIQUE_ID%%"}}, {header: {key: x-first, value: "%%REQ(x-unique)%%"}}]`
	)
	policies := func(key string) string {
		return `hash_policy: [{cookie: {name: cf}, terminal: true}, {header: {header_name: ` + key + `}}]`
	}
	known := `{match: {prefix: /, headers: [{name: cookie, string_match: {contains: "cf="}}]}, route: {` + policies("x-key") + "," + half + `}}`
	route := func(path, key, cookie, remove string) string {
		return fmt.Sprintf(`{match: {path: %s}, route: {%s, %s}, %s, request_headers_to_remove: [%s]}`, path, policies(key), half, fmt.Sprintf(add, cookie), remove)
	}
	each(t, setup{origins: []string{"a", "b"}, manager: "{" + edge + "}", routes: `[` + known + `,
		` + route("/kept", "x-unique", "%REQ(x-unique)%", "x-none") + `,
		` + route("/recipe", "x-key", "%START_TIME(%s%9f)%-%CONNECTION_ID%", "x-key") + `,
		` + route("/removed", "x-key", "%REQ(x-key)%", "x-key") + `]`}, func(b *bench) {
		b.fact("a key made before the route is chosen holds a client from its first request on", rests, func(b *bench) {
			same(b, "clients who changed sides", b.strays("/recipe"), 0)
			same(b, "clients who changed sides, with the key left in the request", b.strays("/kept"), 0)
		})
		b.fact("a request header that the route removes is empty when the answer is formatted", "translate.freshKey reads the same twice, instead of copying the header", func(b *bench) {
			same(b, "cookie", b.get("/removed").header.Get("set-cookie"), "cf=")
		})
		b.fact("%UNIQUE_ID% is another one each time, within a request", "translate.freshKey is made of the start and the connection", func(b *bench) {
			a := b.get("/kept")
			if first, again := a.header.Get("x-first"), a.header.Get("x-again"); first == again || first == "" {
				b.t.Errorf("%q, %q", first, again)
			}
		})
		b.fact("the origin does not see the key", "translate.routeConfiguration removes it", func(b *bench) {
			same(b, "headers", len(b.get("/recipe").saw.Get("x-key")), 0)
		})
	})
}
