package probes

import (
	"context"
	"fmt"
	"strings"
)

// fence is a route that answers 200 while the key "fence" says so. Envoy acknowledges levers before its workers use them, so each step
// of a probe turns the fence and waits until the worker does as it says.
const fence = `{match: {path: /fence, runtime_fraction: {default_value: {numerator: 0}, runtime_key: fence}}, direct_response: {status: 200}}`

// lead answers what Envoy waits for at its start.
func (b *bench) lead(s setup) {
	b.t.Helper()
	if s.levers != "" {
		b.asked(runtimes, "levers")
		b.acked(runtimes, "levers", layer(s.levers, false))
	}
	for name, text := range s.rds {
		b.asked(routes, name)
		if text != "" {
			b.acked(routes, name, text)
		}
		if text == frame(name) {
			b.asked(virtualHosts, "*")
			b.acked(virtualHosts, name+"/*", catchAll(name))
		}
	}
}

func layer(values string, fence bool) string {
	percent := 0
	if fence {
		percent = 100
	}
	values = strings.TrimSuffix(strings.TrimSpace(values), "}")
	if values != "{" {
		values += ","
	}
	return fmt.Sprintf("{name: levers, layer: %s fence: %d}}", values, percent)
}

// pull sends levers and waits until the worker uses them.
func (b *bench) pull(values string) {
	b.t.Helper()
	b.ads.mu.Lock()
	b.ads.fence = !b.ads.fence
	on := b.ads.fence
	b.ads.mu.Unlock()
	b.acked(runtimes, "levers", layer(values, on))
	b.eventually("the worker to use "+values, func() bool { return (b.get("/fence").String() == "200") == on }) // off, a later route answers
}

// modify sets a key through the admin interface and waits until the worker uses it.
func (b *bench) modify(key, value, path, want string) {
	b.t.Helper()
	if err := b.envoy.ModifyRuntime(context.Background(), map[string]string{key: value}); err != nil {
		b.t.Fatal(err)
	}
	b.eventually(path+" to be answered "+want, func() bool { return b.get(path).String() == want })
}
