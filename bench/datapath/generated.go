package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// object is one of JSON.
type object = map[string]any

// dump is what a proxy of the fleet runs.
type dump struct {
	config  json.RawMessage
	runtime map[string]string // the live weights, among others
}

func takeDump(ctx context.Context, p *stack.Proxy) (d dump, err error) {
	if d.config, err = p.ConfigDump(ctx, ""); err != nil {
		return d, err
	}
	d.runtime, err = p.Runtime(ctx)
	return d, err
}

// generated is a configuration in parts, all of which are in bootstrap.
type generated struct {
	bootstrap object
	listener  object
	manager   object // HttpConnectionManager
	table     object // RouteConfiguration
	host      object // VirtualHost of the service
	action    object // RouteAction of its split
	clusters  []object
}

// without is the configuration less a piece, which may be none, as the bootstrap of an Envoy that has no control plane but sends it statistics.
func (d dump) without(p piece, at place) ([]byte, error) {
	g, err := d.static(at)
	if err != nil {
		return nil, fmt.Errorf("the configuration of a proxy is not as expected: %w", err)
	}
	before, err := json.Marshal(g.bootstrap)
	if err != nil || p.remove == nil {
		return before, err
	}
	if err := shaped(func() { p.remove(g) }); err != nil {
		return nil, err
	}
	after, err := json.Marshal(g.bootstrap)
	if err == nil && bytes.Equal(before, after) {
		err = fmt.Errorf("%s: nothing of that is generated any more", p.name) // it would seem to cost nothing
	}
	return after, err
}

// static reads the dump anew and writes into the bootstrap what came from the control plane.
func (d dump) static(at place) (g *generated, err error) {
	var all struct {
		Configs []struct {
			Bootstrap object `json:"bootstrap"`
			Clusters  []struct {
				Cluster object `json:"cluster"`
			} `json:"dynamic_active_clusters"`
			Listeners []struct {
				State struct {
					Listener object `json:"listener"`
				} `json:"active_state"`
			} `json:"dynamic_listeners"`
			Tables []struct {
				Table object `json:"route_config"`
			} `json:"dynamic_route_configs"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(d.config, &all); err != nil {
		return nil, err
	}
	g = &generated{}
	for _, c := range all.Configs {
		if c.Bootstrap != nil {
			g.bootstrap = c.Bootstrap
		}
		for _, l := range c.Listeners {
			g.listener = l.State.Listener
		}
		for _, t := range c.Tables {
			g.table = t.Table
		}
		for _, cluster := range c.Clusters {
			g.clusters = append(g.clusters, cluster.Cluster)
		}
	}
	if err := g.find(); err != nil {
		return nil, err
	}
	var settled error
	if err := shaped(func() { settled = g.settle(at, d.runtime) }); err != nil {
		return nil, err
	}
	return g, settled
}

// find finds the parts within parts.
func (g *generated) find() error {
	if err := shaped(func() {
		g.manager = first(first(g.listener["filter_chains"])["filters"])["typed_config"].(object)
		for _, h := range g.table["virtual_hosts"].([]any) {
			if h := h.(object); h["routes"] != nil {
				g.host = h
			}
		}
		g.action = first(g.host["routes"])["route"].(object)
	}); err != nil {
		return err
	}
	if len(g.clusters) != len(originNames) {
		return fmt.Errorf("%d clusters instead of %d", len(g.clusters), len(originNames))
	}
	return nil
}

// shaped calls what takes JSON for something of a known form. That it has another one is an error, not a bug.
func shaped(f func()) (err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("listener, routes or clusters are of another form: %v", why)
		}
	}()
	f()
	return nil
}

// first is the first of a list of objects.
func first(list any) object { return list.([]any)[0].(object) }

// settle puts everything at its static place.
func (g *generated) settle(at place, runtime map[string]string) error {
	address := func(p place) object {
		return object{"socket_address": object{"address": p.Host, "port_value": p.Port}}
	}
	for _, c := range g.clusters {
		name := c["name"].(string)
		for _, o := range at.Origins {
			if strings.HasSuffix(name, "/"+o.Name) {
				c["load_assignment"] = object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{object{"endpoint": object{"address": address(o)}}}}}}
			}
		}
		delete(c, "eds_cluster_config")
		delete(c, "@type")
		c["type"] = "STATIC"
	}
	delete(g.table, "vhds")
	delete(g.table, "@type")
	delete(g.manager, "rds")
	g.manager["route_config"] = g.table
	delete(g.listener, "@type")
	g.listener["address"] = address(at)

	keys := object{}
	for key, value := range runtime {
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("runtime key %s: %w", key, err)
		}
		keys[key] = n
	}
	g.bootstrap["layered_runtime"] = object{"layers": []any{object{"name": "static", "static_layer": keys}}}
	g.bootstrap["admin"] = object{"address": address(place{Host: "127.0.0.1"})}
	delete(g.bootstrap, "dynamic_resources")
	resources := g.bootstrap["static_resources"].(object)
	resources["listeners"] = []any{g.listener}
	for _, c := range g.clusters {
		resources["clusters"] = append(resources["clusters"].([]any), c)
	}
	return nil
}
