package server

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Attempts remembers what was refused; package attempts'. Its methods wait for nothing.
type Attempts interface {
	// Note remembers a refusal. It says whether it is the first of its kind for a while.
	Note(*access.Refusal) bool
	// List returns what is remembered with numbers below before, newest first; all if before is 0.
	List(before int64) []access.Attempt
	// Next is the number that the next one gets.
	Next() int64
}

// gate lets calls in by the rules that hold now.
type gate struct {
	rules    atomic.Pointer[access.Rules] // nil: nobody is asked
	attempts Attempts                     // nil: none are remembered

	mu      sync.Mutex
	streams map[*guarded]bool // that were let in
}

// Enforces says whether callers need roles.
func (a *API) Enforces() bool { return a.gate.rules.Load() != nil }

// SetAccess puts other rules in the place of those that hold. Calls in flight finish by the old ones; streams end at once if their caller has lost the
// right to them.
func (a *API) SetAccess(rules *access.Rules) {
	a.gate.rules.Store(rules)
	a.gate.mu.Lock()
	defer a.gate.mu.Unlock()
	for s := range a.gate.streams {
		if r := a.refusal(s.ctx, s.method, s.request); r != nil {
			a.log.Info("a stream ends, since its caller may no longer have it", "who", r.Who, "method", r.Method)
			s.cancel(r.Err())
		}
	}
}

// permit says why a call may not be made, a *policy.Error, and remembers that.
func (a *API) permit(ctx context.Context, method string, request any) error {
	r := a.refusal(ctx, method, request)
	if r == nil {
		return nil
	}
	a.refused(ctx, r)
	return r.Err()
}

// refusal says by the rules that hold now why a call may not be made.
func (a *API) refusal(ctx context.Context, method string, request any) *access.Refusal {
	rules := a.gate.rules.Load()
	if rules == nil {
		return nil
	}
	caller, err := identity.FromContext(ctx)
	if err != nil {
		return &access.Refusal{Method: path.Base(method), Why: err.Error()}
	}
	return access.Decide(rules.Of(caller.Name), method, request, lookup{a.control})
}

// refused takes note of a refusal. One who tries again and again fills no log.
func (a *API) refused(ctx context.Context, r *access.Refusal) {
	if a.denied != nil {
		a.denied(r.Method, reasonOf(r))
	}
	if a.gate.attempts != nil && !a.gate.attempts.Note(r) {
		return
	}
	a.log.LogAttrs(ctx, slog.LevelWarn, "a call was refused", slog.String("who", r.Who), slog.String("method", r.Method), slog.String("on", clip(r.What, maxName)), slog.String("needs", r.Role), slog.String("reason", r.Why))
}

// reasonOf is why a call was refused, in a word.
func reasonOf(r *access.Refusal) string {
	switch {
	case r.Why != "":
		return "no_name"
	case r.Who == "":
		return "no_certificate"
	case r.Role == "":
		return "no_rule"
	}
	return "no_role"
}

// lookup finds of which service something is.
type lookup struct{ control Controller }

// ServiceOfMirror implements [access.Lookup].
func (l lookup) ServiceOfMirror(name string) string {
	return l.of("mirror", name).GetMirror().GetService()
}

// ServiceOfRollout implements [access.Lookup].
func (l lookup) ServiceOfRollout(name string) string {
	return l.of("rollout", name).GetRollout().GetService()
}

// TakesFrom implements [access.Lookup].
func (l lookup) TakesFrom(s *crossfadev1.Service) []string { return l.control.TakesFrom(s) }

func (l lookup) of(kind, name string) *crossfadev1.Document {
	doc, _, err := l.control.Get(kind, name)
	if err != nil { // there is none
		return nil
	}
	return doc
}

// guarded is a stream whose caller needs the right to what it asks for, as long as it lasts.
type guarded struct {
	grpc.ServerStream
	api    *API
	ctx    context.Context
	cancel context.CancelCauseFunc
	method string // full name

	request any // the first one; guarded by the gate's lock
}

// Context implements grpc.ServerStream. It ends when the server stops, or when the right is lost.
func (s *guarded) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *guarded) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if broken := s.api.codec.check(m); err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	g := &s.api.gate
	g.mu.Lock()
	if s.request == nil {
		s.request = m
		g.streams[s] = true // before it is let in: whatever the rules become, it is asked by them
	}
	g.mu.Unlock()
	return s.api.permit(s.ctx, s.method, m)
}

func (s *guarded) close() {
	s.api.gate.mu.Lock()
	defer s.api.gate.mu.Unlock()
	delete(s.api.gate.streams, s)
}

// guard makes a stream one that is asked for its right. Close it when its handler has returned.
func (a *API) guard(ctx context.Context, stream grpc.ServerStream, method string) *guarded {
	ctx, cancel := context.WithCancelCause(ctx)
	return &guarded{ServerStream: stream, api: a, ctx: ctx, cancel: cancel, method: method}
}

// lost is why the right to a stream was lost; nil: it was not.
func (s *guarded) lost() error {
	var e *policy.Error
	if errors.As(context.Cause(s.ctx), &e) {
		return e
	}
	return nil
}
