package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// maxProxyRules bounds the section proxies.
const maxProxyRules = 1000

// proxyRule says that certificates of a name may be proxies of a fleet.
type proxyRule struct {
	fleet string
	name  identity.Pattern
}

func (r *fileReader) proxySection(n *yaml.Node) {
	var rules []proxyRule
	r.list(n, "proxies", "rules", maxProxyRules, func(item *yaml.Node, field string) {
		var fleet, name string
		before := len(r.found)
		if !r.group(item, field, map[string]setting{"fleet": r.text(field+".fleet", &fleet), "name": r.text(field+".name", &name)}) || len(r.found) > before {
			return
		}
		rule := proxyRule{fleet, identity.Pattern(name)}
		if !policy.ValidName(fleet) {
			r.add(item, invalid("bad_setting", field+".fleet", fleet, "must be the name of a fleet: lower-case letters, digits and dashes", "default is the one where none is named"))
			return
		}
		if err := rule.name.Check(); err != nil {
			r.add(item, invalid("bad_setting", field+".name", name, err.Error(), "for example spiffe://example.test/fleet/"+fleet+"/*"))
			return
		}
		if slices.Contains(rules, rule) {
			r.add(item, invalid("duplicate_key", field, name, "is there twice", ""))
			return
		}
		rules = append(rules, rule)
	})
	*r.proxies = rules
}

// admission decides which certificates may be proxies of which fleets. The zero value of rules lets nobody in.
type admission struct {
	log  *slog.Logger
	said rate.Sometimes

	mu      sync.Mutex
	rules   []proxyRule
	streams map[*admitted]struct{}
	refused map[string]int64 // by fleet that a rule names; "" for all others
}

// admitted is a stream of a proxy.
type admitted struct {
	cancel context.CancelCauseFunc

	// Guarded by the admission. Empty until the stream has said whose it is.
	name, fleet, proxy string
}

func newAdmission(rules []proxyRule, log *slog.Logger) *admission {
	return &admission{
		log: log, rules: rules, streams: map[*admitted]struct{}{}, refused: map[string]int64{}, said: rate.Sometimes{First: 20, Interval: time.Second},
	}
}

// admit says whether the caller may be a proxy of a fleet, see [xds.Options] and [telemetry.Options]. Nil lets everybody in: nobody is verified.
func (a *admission) admit(ctx context.Context, fleet, proxy string) error {
	if a == nil {
		return nil
	}
	caller, err := identity.FromContext(ctx)
	if err != nil {
		return a.refuse("", fleet, proxy, err.Error())
	}
	a.mu.Lock()
	allowed := a.allowed(caller.Name, fleet)
	if s, ok := ctx.Value(admittedKey{}).(*admitted); ok && allowed {
		s.name, s.fleet, s.proxy = caller.Name, fleet, proxy
	}
	a.mu.Unlock()
	if !allowed {
		return a.refuse(caller.Name, fleet, proxy, "no line of the section proxies of the settings file lets it")
	}
	return nil
}

// allowed says whether a rule lets a name into a fleet. a.mu is held.
func (a *admission) allowed(name, fleet string) bool {
	return name != "" && slices.ContainsFunc(a.rules, func(r proxyRule) bool { return r.fleet == fleet && r.name.Matches(name) })
}

// refuse counts and says, some of the time, that a proxy was not let in.
func (a *admission) refuse(name, fleet, proxy, why string) error {
	a.mu.Lock()
	known := ""
	if slices.ContainsFunc(a.rules, func(r proxyRule) bool { return r.fleet == fleet }) {
		known = fleet
	}
	a.refused[known]++
	a.mu.Unlock()
	a.said.Do(func() {
		a.log.Warn("proxy refused", "proxy", proxy, "fleet", fleet, "name", name, "reason", why)
	})
	return status.Errorf(codes.PermissionDenied, "the certificate of %q may not be a proxy of fleet %.63q: %s", name, fleet, why)
}

// set takes other rules, and ends the streams that they do not let in.
func (a *admission) set(rules []proxyRule) {
	a.mu.Lock()
	a.rules = rules
	var out []*admitted
	for s := range a.streams {
		if s.fleet != "" && !a.allowed(s.name, s.fleet) {
			out = append(out, s)
		}
	}
	a.mu.Unlock()
	for _, s := range out {
		s.cancel(a.refuse(s.name, s.fleet, s.proxy, "the section proxies of the settings file lets it no more"))
	}
}

// counts returns how many were refused, by fleet; "": of fleets that no rule names.
func (a *admission) counts() map[string]int64 {
	out := map[string]int64{}
	if a == nil {
		return out
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for fleet, n := range a.refused {
		out[fleet] = n
	}
	return out
}

type admittedKey struct{}

// intercept makes streams of proxies end when other rules do not let them in.
func (a *admission) intercept(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	s := &admitted{cancel: cancel}
	a.mu.Lock()
	a.streams[s] = struct{}{}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.streams, s)
	}()
	handled := make(chan error, 1)
	go func() { handled <- handle(service, &admittedStream{stream, context.WithValue(ctx, admittedKey{}, s)}) }()
	select {
	case err := <-handled:
		return err
	case <-ctx.Done():
		if cause := context.Cause(ctx); status.Code(cause) == codes.PermissionDenied {
			return cause // with this the stream ends, and so what waits for its next message does
		}
		return <-handled
	}
}

// admittedStream is a stream whose context can end before it does; then nothing more comes or goes.
type admittedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *admittedStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *admittedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return context.Cause(s.ctx)
}

// SendMsg implements grpc.ServerStream.
func (s *admittedStream) SendMsg(m any) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// options are those of the gRPC server for proxies, with more.
func (a *admission) options(more []grpc.ServerOption) []grpc.ServerOption {
	if a == nil {
		return more
	}
	return append(more, grpc.ChainStreamInterceptor(a.intercept))
}
