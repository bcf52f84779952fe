package telemetry

import (
	"bytes"
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Names of request metadata in which a proxy says who it is.
const (
	ProxyMetadata = "x-crossfade-proxy"
	FleetMetadata = "x-crossfade-fleet"
)

// registerOTLP adds the OTLP metrics service.
func (t *Telemetry) registerOTLP(r grpc.ServiceRegistrar) {
	const service = "opentelemetry.proto.collector.metrics.v1.MetricsService"
	call := func(ctx context.Context, req any) (any, error) {
		return &emptypb.Empty{}, t.export(ctx, req.(*message))
	}
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Export",
			Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				in := &message{}
				if err := decode(in); err != nil {
					return nil, t.refuse(refusedMalformed, status.Errorf(codes.InvalidArgument, "OTLP metrics: %v", err))
				}
				defer in.free()
				if intercept == nil {
					return call(ctx, in)
				}
				return intercept(ctx, in, &grpc.UnaryServerInfo{Server: t, FullMethod: "/" + service + "/Export"}, call)
			},
		}},
		Metadata: "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
	}, nil)
}

// export takes one message of one proxy.
func (t *Telemetry) export(ctx context.Context, m *message) error {
	arrived := t.now() // before it waits: clocks go by it
	size := m.size()
	t.counters.messages.Add(1)
	t.counters.bytes.Add(uint64(size))
	fleetName, id, err := sender(ctx)
	if err != nil {
		return t.refuse(refusedNameless, err)
	}
	if err := t.admit(ctx, fleetName, id); err != nil {
		return t.refuse(refusedStranger, err)
	}
	if size > MaxMessage {
		return t.refuse(refusedTooLarge, status.Errorf(codes.ResourceExhausted, "metrics of proxy %q: %d bytes in one message; at most %d are taken", id, size, MaxMessage))
	}
	f, _, err := t.enter(fleetName, id) // who has no place need not wait for a decoder
	if err != nil {
		return t.refuse(refusedTooMany, err)
	}
	f.mu.Unlock()
	leave, err := t.enterDecoders(ctx)
	if err != nil {
		return err
	}
	defer leave()
	fl := t.flushes.Get().(*flush)
	defer func() {
		fl.reset(nil)
		t.flushes.Put(fl)
	}()
	fl.reset(*f.index.Load())
	if err := fl.decode(m.whole()); err != nil {
		return t.refuse(refusedMalformed, status.Errorf(codes.InvalidArgument, "metrics of proxy %q: %v", id, err))
	}
	if fl.end == 0 {
		return nil // nothing in it that counts here: 1.37 sends such messages before anything is used
	}
	t.makeRoom(fl, arrived)
	t.tidy(arrived)
	f, p, err := t.enter(fleetName, id)
	if err != nil {
		return t.refuse(refusedTooMany, err)
	}
	defer f.mu.Unlock()
	if err := t.resolve(fl, p.version.inclusiveBuckets(), arrived); err != nil {
		return t.refuse(refusedMalformed, status.Errorf(codes.InvalidArgument, "metrics of proxy %q: %v", id, err))
	}
	t.take(f, p, fl, arrived)
	return nil
}

// sender reads from the request's metadata which proxy it is.
func sender(ctx context.Context) (fleet, proxy string, err error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if proxy, err = nameIn(md, ProxyMetadata); err != nil {
		return "", "", err
	}
	fleet, err = nameIn(md, FleetMetadata)
	return fleet, proxy, err
}

func nameIn(md metadata.MD, key string) (string, error) {
	values := md.Get(key)
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxNameLength || !utf8.ValidString(values[0]) {
		return "", status.Errorf(codes.InvalidArgument,
			"metadata %s is needed once, 1 to %d characters of UTF-8: it says which proxy this is; `shadowctl bootstrap` sets it", key, maxNameLength)
	}
	return values[0], nil
}

// resolve finds the layout of each histogram, before anything of the message is taken, and leaves out those for which there is no room.
func (t *Telemetry) resolve(fl *flush, inclusive bool, now time.Time) error {
	for i := range fl.histograms {
		h := &fl.histograms[i]
		if i > 0 && bytes.Equal(h.bounds, fl.histograms[i-1].bounds) {
			h.layout = fl.histograms[i-1].layout
			continue
		}
		l, err := t.layouts.of(h.bounds, inclusive, now)
		if err != nil {
			return err
		}
		h.layout = l
	}
	all := len(fl.histograms)
	fl.histograms = slices.DeleteFunc(fl.histograms, func(h histogram) bool { return h.layout == nil })
	fl.placeless = all - len(fl.histograms)
	return nil
}

// take adds a flush, which came now, to its fleet's series and to the proofs. f.mu is held.
func (t *Telemetry) take(f *fleet, p *proxy, fl *flush, now time.Time) {
	if dropped := f.learn(fl, now); dropped > 0 {
		t.counters.dropped.Add(uint64(dropped))
		t.log.Warn("clusters without a place", "proxy", p.id, "fleet", f.name, "clusters", dropped, "limit", maxSeries)
	}
	if !p.reports(now) {
		f.recount()
	}
	iv := p.flushed(fl, now)
	for i := range fl.deltas {
		d := &fl.deltas[i]
		if d.series == nil {
			continue
		}
		d.series.last = now
		d.series.total.add(&d.counts)
		d.series.window.Add(now, &d.counts)
		p.remember(d.series, healthOf(&d.counts))
	}
	for i := range fl.histograms {
		h := &fl.histograms[i]
		if s := fl.deltas[h.delta].series; s != nil {
			if !s.window.addLatency(now, h.layout, h.counts, &t.room) {
				fl.placeless++
			}
		}
	}
	if fl.placeless > 0 {
		t.counters.placeless.Add(uint64(fl.placeless))
		t.log.Warn("latencies without a place", "proxy", p.id, "fleet", f.name, "clusters", fl.placeless, "kinds", maxLayouts, "bytes", maxLatencies)
	}
	f.tapFlush(p, fl, iv)
	for proof := range f.proofs {
		proof.metrics(p, fl, iv)
	}
	if len(f.proofs) > 0 {
		t.attend(f, p)
	}
}

// longestFlush is longer than any flush interval that a bootstrap may have.
const longestFlush = time.Hour

// flushed notes a flush and returns the interval that it covers.
func (p *proxy) flushed(fl *flush, now time.Time) interval {
	p.clock.saw(now, fl.end)
	iv := interval{to: p.clock.ours(fl.end), arrived: now}
	start := fl.start
	iv.complete = start > 0 && fl.end > p.end && fl.end-start < uint64(longestFlush) // the first flush of a process says that it began in 1970
	iv.gap = start > p.end
	iv.from = p.clock.ours(start)
	p.expires(fl, fl.end == p.end)
	if fl.end != p.end {
		p.flushes++ // a message with the same end is more of the same flush
	}
	p.end = max(p.end, fl.end)
	if iv.complete {
		p.period = iv.to.Sub(iv.from)
	}
	p.reported, p.lastSeen, p.overrides = now, now, fl.overrides > 0
	return iv
}

// of returns what a flush holds for a cluster; nil if nothing.
func (f *flush) of(cluster string) *Counts {
	if s := f.index[cluster]; s != nil {
		if i := f.byID[s.id]; i > 0 {
			return &f.deltas[i-1].counts
		}
		return nil
	}
	if i, ok := f.byName[cluster]; ok {
		return &f.deltas[i].counts
	}
	return nil
}
