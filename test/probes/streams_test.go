package probes

import (
	"context"
	"fmt"
	"testing"

	"github.com/coder/websocket"
)

// TestStreamsStay: what is under way when weights change.
func TestStreamsStay(t *testing.T) {
	const rests = "docs/concepts.md: streams still open after a change are reported, not ended"
	each(t, setup{
		origins: []string{"a", "b"}, levers: "{}", routes: "[" + fence + "," + split + "]",
		manager: `{upgrade_configs: [{upgrade_type: websocket}]}`,
	}, func(b *bench) {
		b.fact("a stream stays at its origin after a shift", rests, func(b *bench) {
			ctx, cancel := context.WithTimeout(b.t.Context(), patience)
			defer cancel()
			c, resp, err := websocket.Dial(ctx, "ws://"+b.at["main"]+"/", &websocket.DialOptions{Host: host})
			if err != nil {
				b.t.Fatal(err)
			}
			defer c.CloseNow()
			same(b, "origin of the stream", resp.Header.Get("x-origin"), "a")
			b.pull(`{w.s.a: 0, w.s.b: 100}`)
			b.want("/", "200 b")
			if err := c.Write(ctx, websocket.MessageText, []byte("still here")); err != nil {
				b.t.Fatal(err)
			}
			_, text, err := c.Read(ctx)
			if err != nil || string(text) != "still here" {
				b.t.Errorf("%q, %v", text, err)
			}
			same(b, "streams at a", b.origins["a"].InFlight(), 1)
		})
	})
}

// TestPerOrigin: what a split can do for one of its origins alone.
func TestPerOrigin(t *testing.T) {
	const (
		rests    = "nothing yet; what one origin alone needs could be given at its entry of the split"
		mutation = `"@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`
		add      = `mutations: {request_mutations: [{append: {header: {key: %s, value: "on"}}}]}`
	)
	filters := `{http_filters: [{name: mutate, disabled: true, typed_config: {` + mutation + `, ` + fmt.Sprintf(add, "x-filter") + `}},
		{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}`
	entry := `{name: b, weight: 50, request_headers_to_add: [{header: {key: x-side, value: b}}], typed_per_filter_config: {mutate: {
		"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {"@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute, ` + fmt.Sprintf(add, "x-override") + `}}}}`
	each(t, setup{
		origins: []string{"a", "b"}, manager: filters,
		routes: `[{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 50}, ` + entry + `]}}}]`,
	}, func(b *bench) {
		b.fact("an entry of a split can add headers and turn on a filter that is off", rests, func(b *bench) {
			for range tries {
				a := b.get("/")
				want := 0
				if a.origin == "b" {
					want = 1
				}
				for _, added := range []string{"x-side", "x-filter", "x-override"} {
					same(b, added+" at "+a.origin, len(a.saw.Get(added)), want)
				}
			}
			b.want("/", "200 a", "200 b")
		})
	})
}
