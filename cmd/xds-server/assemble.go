package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/supervise"
	"github.com/crossfade-proxy/crossfade/internal/version"
	"github.com/crossfade-proxy/crossfade/pkg/access/attempts"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/experiment"
	"github.com/crossfade-proxy/crossfade/pkg/server"
	"github.com/crossfade-proxy/crossfade/pkg/server/metrics"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/roster"
)

// parts are the parts of a running server.
type parts struct {
	control    *control.Controller
	fleets     *xds.Server
	telemetry  *telemetry.Telemetry
	api        *server.API
	xds, grpc  *grpc.Server
	http       *http.Server
	comparator *supervise.Process // nil where comparators run elsewhere
	desk       *experiment.Desk
	roster     *roster.File
	finders    *finders
	asked      *asked
	roles      *liveRoles
	attempts   *attempts.Log
	tracing    *tracing
	secured    secured
	admission  *admission // nil without TLS
	serving    atomic.Bool
}

// assemble makes the parts and loads what is live.
func assemble(ctx context.Context, c *config, ls listeners, d *disk, again *reloader, log *slog.Logger) (*parts, error) {
	m, err := metrics.New()
	if err != nil {
		return nil, wrap("set up metrics", err)
	}
	p := &parts{secured: secured{again.keeper}}
	if p.secured.keeper != nil {
		p.admission = newAdmission(c.proxies, log)
		if len(c.proxies) == 0 {
			log.Warn("no proxy is let in: the settings file has no section proxies, which says which certificates may be proxies of which fleet")
		}
		again.take(func(c *config) { p.admission.set(c.proxies) })
	}
	if p.tracing, err = openTracing(ctx, os.Getenv, log); err != nil {
		return nil, err
	}
	p.telemetry = telemetry.New(telemetry.Options{Log: log, Admit: p.admission.admit, Retried: func(service string) bool { return p.control.Retried(service) }})
	p.fleets = xds.NewServer(xds.Options{
		Log: log, OnNack: m.Nack, Admit: p.admission.admit, Secure: p.secured.keeper != nil,
		KnownStamp: func(fleet, stamp string) bool { return p.control.KnownStamp(fleet, stamp) },
		OnRefusal:  func(fleet string, r xds.Refusal) { p.control.ProxyChanged(fleet, r.Proxy) },
		OnConnect: func(fleet, proxy string, connected bool) {
			p.telemetry.Connected(fleet, proxy, connected)
			p.control.ProxyChanged(fleet, proxy)
		},
	})
	if p.finders, err = openFinders(ctx, c, log); err != nil {
		return nil, err
	}
	if p.asked, err = openAsked(c, log); err != nil {
		p.finders.close()
		return nil, err
	}
	p.desk = p.openDesk(c, log)
	p.roles = newLiveRoles(c.roles)
	p.attempts = attempts.Open(filepath.Join(c.dataDir, attemptsFile), log)
	p.control = control.New(control.Config{
		Store: m.Store(d.store), Journal: d.journal, Fleets: p.fleets, Telemetry: p.telemetry, Log: log, Traces: p.tracing,
		Experiments: p.desk, Mirrors: c.mirrors.rules(), Comparators: p.secured.comparators(), Rollouts: p.walks(c, log), RolloutRules: p.asked.rules(p.roles), Restored: isRestored(c.dataDir),
		Discovery: control.Discovery{Watch: p.finders.watch, File: filepath.Join(c.dataDir, endpointsFile), Rules: c.sources.rules},
	})
	if err := p.control.Load(ctx); err != nil {
		p.closeControl()
		return nil, err
	}
	p.roster = roster.Open(filepath.Join(c.dataDir, rosterFile), log)
	for _, m := range p.fleets.Remember(p.roster.Read()) {
		p.telemetry.Remember(m.Fleet, m.Proxy, m.LastSeen)
	}
	if err := errors.Join(m.Observe(p.control, p.requests, p.finders.calls), m.ObserveStore(d.usage), m.ObserveStatistics(p.statistics)); err != nil {
		p.closeControl()
		return nil, wrap("set up metrics", err)
	}
	if err := m.ObserveTLS(func() metrics.TLS { return p.tlsState(again) }); err != nil {
		p.closeControl()
		return nil, wrap("set up metrics", err)
	}
	p.api = server.New(server.Config{
		Controller: p.control, Log: log, Changed: m.Changed, Denied: m.Denied, Traces: p.tracing,
		Access: c.access(log), Attempts: p.attempts,
		Info: server.Info{Version: version.String(), Commit: commit(), Addresses: ls.advertised(c.advertise), Started: time.Now()},
	})
	again.take(func(c *config) { p.setRoles(c.roles) })
	p.grpc = p.api.GRPC(p.secured.options("api")...)
	p.desk.Register(p.grpc)
	newAdmin(c, d, m.Handler(), log).Register(p.grpc)
	p.xds = newXDS(p.admission.options(p.secured.options("xds"))...)
	p.fleets.Register(p.xds)
	p.telemetry.Register(p.xds)
	p.http = server.NewHTTPServer(p.api.GuardHTTP(c.operation.profiled(server.HTTP(p.serving.Load, m.HandlerFor(p.api.Sees)))))
	return p, nil
}

// newXDS returns the gRPC server for proxies, with room for what they report.
func newXDS(more ...grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(append(xds.GRPCOptions(), grpc.MaxRecvMsgSize(telemetry.MaxMessage)), more...)...)
}

// statistics are the counters of what takes the proxies' statistics, for metrics.
func (p *parts) statistics() metrics.Statistics {
	s := p.telemetry.Stats()
	return metrics.Statistics{
		Flushes: s.Messages, LoadReports: s.LoadReports, Bytes: s.Bytes, Waiting: s.Waiting, Refused: s.Refused,
		NoPlace: map[string]uint64{"cluster": s.DroppedClusters, "latency": s.DroppedLatencies},
	}
}

// requests are the counters of the proxies, for metrics.
func (p *parts) requests() []metrics.Requests {
	var out []metrics.Requests
	for _, t := range p.telemetry.Totals() {
		if strings.Contains(t.Origin, "@") {
			continue // copies: no live request is among them
		}
		out = append(out, metrics.Requests{Fleet: t.Fleet, Service: t.Service, Origin: t.Origin, Class: t.Counts.Class, Hidden: t.Counts.Hidden})
	}
	return out
}

// closeControl ends changes, and then the watches that are left.
func (p *parts) closeControl() {
	p.control.Close()
	p.finders.close()
	p.asked.close()
	p.tracing.close()
}

func (p *parts) setServing(serving bool) {
	p.serving.Store(serving)
	p.api.SetServing(serving)
}

// stop ends the listeners in order: first who changes something, last who is only asked how things are.
func (p *parts) stop() {
	p.serving.Store(false)
	p.comparator.Stop() // it has something to say to the API
	p.api.Stop(p.grpc, stopGrace)
	p.closeControl()
	p.xds.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	_ = p.http.Shutdown(ctx) // after its time, a scrape is cut off by the end of the process
}
