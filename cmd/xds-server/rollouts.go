package main

import (
	"net/url"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// rolloutSettings are what the server's operator says about rollouts, whoever starts them.
type rolloutSettings struct {
	hooks   hookSettings
	servers []promServer // in the order written
}

// hookSettings say which webhooks rollouts may call. The zero value: none.
type hookSettings struct {
	allow []string // URLs, by prefix
	key   secret   // "whsec_…", that signs events
}

// promServer is a Prometheus that guards may ask.
type promServer struct {
	name, url          string
	bearerFile, caFile string
	timeout            time.Duration // 0: the default
}

// Bounds of the sections about rollouts.
const (
	maxHooks      = 64
	maxServers    = 16
	minAskTimeout = 100 * time.Millisecond
	maxAskTimeout = time.Minute
)

func (r *fileReader) hookSection(n *yaml.Node) {
	keyFile := ""
	h := &r.rollouts.hooks
	if !r.group(n, "hooks", map[string]setting{
		"keyFile": r.text("hooks.keyFile", &keyFile),
		"allow": func(n *yaml.Node) {
			r.list(n, "hooks.allow", "URLs", maxHooks, func(item *yaml.Node, field string) {
				if u, err := url.Parse(item.Value); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
					r.add(item, invalid("bad_setting", field, "", "must be the beginning of URLs that may be called, without user, query or fragment", "for example https://hooks.test/crossfade"))
					return
				}
				h.allow = append(h.allow, item.Value)
			})
		},
	}) {
		return
	}
	if len(h.allow) == 0 || keyFile == "" {
		r.add(n, invalid("bad_setting", "hooks", "", "needs allow, the URLs that may be called, and keyFile, the file of the key that signs events", "make a key: echo whsec_$(openssl rand -base64 32) > hook.key"))
		return
	}
	var err error
	if h.key, err = readSecret(keyFile); err != nil {
		r.add(n, invalid("bad_file", "hooks.keyFile", keyFile, reason(err), "name a file that holds the key, and nothing else"))
	}
}

func (r *fileReader) prometheusSection(n *yaml.Node) {
	r.list(n, "prometheus", "servers", maxServers, func(item *yaml.Node, field string) {
		var s promServer
		if !r.group(item, field, map[string]setting{
			"name": r.text(field+".name", &s.name), "url": r.text(field+".url", &s.url),
			"bearerTokenFile": r.text(field+".bearerTokenFile", &s.bearerFile), "caFile": r.text(field+".caFile", &s.caFile),
			"timeout": r.duration(field+".timeout", &s.timeout, minAskTimeout, maxAskTimeout),
		}) {
			return
		}
		u, err := url.Parse(s.url)
		switch {
		case !policy.ValidName(s.name):
			r.add(item, invalid("bad_setting", field+".name", s.name, "a server needs a name of lower-case letters, digits and dashes, by which guards call it", ""))
		case slices.ContainsFunc(r.rollouts.servers, func(o promServer) bool { return o.name == s.name }):
			r.add(item, invalid("duplicate_key", field+".name", s.name, "two servers have this name", ""))
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
			r.add(item, invalid("bad_setting", field+".url", "", "must be the URL of a Prometheus, without user or password", "for example http://prometheus.test:9090; a token goes into bearerTokenFile"))
		default:
			r.rollouts.servers = append(r.rollouts.servers, s)
		}
	})
}
