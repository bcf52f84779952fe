package main

import (
	"log/slog"
	"path/filepath"

	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/hook"
	"github.com/crossfade-proxy/crossfade/pkg/promql"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// traffic makes the watches of the engine.
type traffic struct{ *telemetry.Telemetry }

func (t traffic) Watch(service string, fleets []string, origins ...string) engine.Watch {
	return t.Telemetry.Watch(service, fleets, origins...)
}

// asked is what rollouts may ask and tell.
type asked struct {
	hooks   *hook.Hooks     // nil: none is set up
	queries *promql.Queries // nil: none is set up
}

func openAsked(c *config, log *slog.Logger) (*asked, error) {
	out := &asked{}
	var err error
	if h := c.rollouts.hooks; len(h.allow) > 0 {
		key, err := hook.ParseKey(h.key.reveal())
		if err != nil {
			return nil, err
		}
		if out.hooks, err = hook.New(hook.Config{Allow: h.allow, Key: key, Log: log}); err != nil {
			return nil, err
		}
	}
	if servers := c.rollouts.servers; len(servers) > 0 {
		config := promql.Config{}
		for _, s := range servers {
			config.Servers = append(config.Servers, promql.Server{Name: s.name, URL: s.url, BearerTokenFile: s.bearerFile, CAFile: s.caFile, Timeout: s.timeout})
		}
		if out.queries, err = promql.New(config); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *asked) close() {
	if a.hooks != nil {
		a.hooks.Close()
	}
	if a.queries != nil {
		a.queries.Close()
	}
}

// rules are what the settings allow of rollouts.
func (a *asked) rules(roles *liveRoles) control.RolloutRules {
	out := control.RolloutRules{Roles: roles.gates}
	if a.hooks != nil {
		out.Hook = a.hooks.Allowed
	}
	if a.queries != nil {
		out.Server = a.queries.Known
	}
	return out
}

// walks makes who walks rollouts.
func (p *parts) walks(c *config, log *slog.Logger) func(engine.Control) control.Rollouts {
	return func(hands engine.Control) control.Rollouts {
		e := engine.Config{
			Control: hands, Traffic: traffic{p.telemetry}, Dir: filepath.Join(c.dataDir, rolloutsDir), Roles: p.roles.rolesOf, Log: log,
		}
		if p.asked.hooks != nil {
			e.Hooks = p.asked.hooks
		}
		if p.asked.queries != nil {
			e.Queries = p.asked.queries
		}
		return engine.New(e)
	}
}
