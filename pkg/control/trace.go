package control

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// A change is a span, below that of its call if one made it. In it are "store", until it is on the disk, and for each fleet "push", from when it was
// sent until the last proxy that was waited for acknowledged; in that, "ack" for each proxy. docs/operations.md describes them for users.

// maxAckSpans bounds the spans of proxies in a push: of more, the slowest are shown.
const maxAckSpans = 200

// tracerOf returns the tracer of a provider; nil: one that records nothing.
func tracerOf(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return p.Tracer("github.com/crossfade-proxy/crossfade/pkg/control")
}

// span begins a part of what ctx belongs to. The function ends it, with what went wrong.
func (c *Controller) span(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, s := c.tracer.Start(ctx, name)
	return ctx, func(err error) { endSpan(s, err, time.Time{}) }
}

func endSpan(s trace.Span, err error, at time.Time) {
	if err != nil {
		s.SetStatus(codes.Error, policy.Unquoted(err))
	}
	if at.IsZero() {
		s.End()
		return
	}
	s.End(trace.WithTimestamp(at))
}

// traceChange says in the span of a change what it is about.
func traceChange(ctx context.Context, ch *change) {
	s := trace.SpanFromContext(ctx)
	if ch == nil || !s.IsRecording() {
		return
	}
	var objects, actions []string
	revision := int64(0)
	for _, e := range ch.edits {
		objects, actions = append(objects, e.key.Kind+" "+e.key.Name), append(actions, e.action)
		revision = max(revision, e.record.GetRevision())
	}
	s.SetAttributes(attribute.StringSlice("crossfade.objects", objects), attribute.StringSlice("crossfade.actions", slices.Compact(actions)), attribute.Int64("crossfade.revision", revision))
}

// tracePushes adds what the proxies of a change did, once nobody waits for it any longer.
func (c *Controller) tracePushes(ctx context.Context, ch *change) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	for name, f := range ch.fleets {
		f.trace(ctx, c.tracer, name, c.now())
	}
}

// acked is when a proxy had it.
type acked struct {
	proxy string
	at    time.Time
}

func (f *following) trace(ctx context.Context, tracer trace.Tracer, fleet string, now time.Time) {
	if f.sent.IsZero() {
		return // nothing was sent to it: it had everything
	}
	pending, refusals := f.waiter.Pending(), f.waiter.Refusals()
	var acks []acked
	last := f.sent
	for proxy, at := range f.waiter.Acks() {
		acks = append(acks, acked{proxy, at})
		last = later(last, at)
	}
	if len(pending) > 0 {
		last = now
	}
	slices.SortFunc(acks, func(a, b acked) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.proxy, b.proxy)) })
	ctx, s := tracer.Start(ctx, "push", trace.WithTimestamp(f.sent), trace.WithAttributes(attribute.String("crossfade.fleet", fleet),
		attribute.Int("crossfade.acked", len(acks)), attribute.StringSlice("crossfade.pending", pending[:min(len(pending), maxAckSpans)])))
	for _, r := range refusals {
		s.AddEvent("refused", trace.WithAttributes(attribute.String("crossfade.proxy", r.Proxy), attribute.String("crossfade.type", r.Type), attribute.String("crossfade.message", r.Message)))
	}
	for _, a := range acks[:min(len(acks), maxAckSpans)] {
		_, p := tracer.Start(ctx, "ack", trace.WithTimestamp(f.sent), trace.WithAttributes(attribute.String("crossfade.proxy", a.proxy)))
		p.End(trace.WithTimestamp(later(f.sent, a.at)))
	}
	endSpan(s, refusedError(refusals), last)
}

// refusedError is nil if nobody refused.
func refusedError(all []xds.Refusal) error {
	if len(all) == 0 {
		return nil
	}
	return traceError("refused by " + all[0].Proxy)
}

// traceError is what a span says went wrong.
type traceError string

// Error gives the sentence.
func (e traceError) Error() string { return string(e) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
