package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// why are Envoy's figures that say why requests fail, as far as the bootstrap keeps them.
const why = `upstream_(cx_connect_fail|cx_none_healthy|rq_rx_reset|rq_timeout|rq_pending_overflow)`

// figures are those of a service's origin, summed over the proxies. There are none before its first request.
func (f fleet) figures(ctx context.Context, service, origin string) (map[string]uint64, error) {
	out := map[string]uint64{}
	prefix := "cluster." + service + "/" + origin + "."
	for _, p := range f.Proxies {
		stats, err := p.Stats(ctx, "^"+strings.ReplaceAll(prefix, ".", `\.`)+why+"$")
		if err != nil {
			return nil, err
		}
		for name, n := range stats {
			out[strings.TrimPrefix(name, prefix+"upstream_")] += n
		}
	}
	return out, nil
}

// grown lists the figures that are not what they were.
func grown(before, after map[string]uint64) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if n := after[name] - before[name]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
