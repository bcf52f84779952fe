package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// peer is a system that is shown beside the measured one: no aims, no ratios, fewer flips.
type peer interface {
	system
	note() string                       // how it rolls back
	version(ctx context.Context) string // empty: it has none
	close()
}

// runContext runs the peers of the case with one service, one after the other. Each has the machine to itself but for the idle fleet.
func (b *bench) runContext(ctx context.Context) error {
	starts := []func() (peer, error){
		func() (peer, error) { return startNginxes(ctx, b.dir, b.lab, b.proxies) },
		func() (peer, error) { return startTraefiks(ctx, b.dir, b.lab, b.proxies) },
	}
	for _, ttl := range b.ttls {
		starts = append(starts, func() (peer, error) { return startNames(b.lab, ttl) })
	}
	for _, start := range starts {
		p, err := start()
		if gone := (missing{}); errors.As(err, &gone) {
			b.unmeasured(gone.name, gone.note())
			continue
		}
		if err != nil {
			return err
		}
		err = b.runPeer(ctx, p)
		p.close()
		if err != nil {
			return err
		}
	}
	b.cite()
	return nil
}

// albSeconds is about how long a change of weights of ALB's target groups takes to have an effect, as a team wrote; there is no figure of AWS.
const albSeconds = 15

// cite says what others say.
func (b *bench) cite() {
	b.unmeasured("alb (cited)", fmt.Sprintf("not measured: about %d s until a change of weights takes effect, as a team wrote that moved its services; no figure of AWS, "+
		"which documents weights: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html", albSeconds))
	b.unmeasured("route 53 (cited)", "not measured: 60 s for which a record is kept, as a team wrote that moved its services; AWS recommends at most that for records with a health check: "+
		"https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-weighted.html")
}

// unmeasured adds the line of a system without figures, and why it has none.
func (b *bench) unmeasured(system, note string) {
	l := report.NewLine(system, "last_request", "s", setting{services: 1}.describe(b.proxies), nil)
	l.Note = note
	b.r.Add(l)
	fmt.Printf("%s: %s\n", system, note)
}

func (b *bench) runPeer(ctx context.Context, p peer) error {
	if version := p.version(ctx); version != "" {
		b.r.Version(p.name(), version)
	}
	s := setting{services: 1}
	got, err := b.runRound(ctx, p, s, b.context)
	if err != nil {
		return err
	}
	last := series([]*round{got}, lastIn).All()
	q := func(share float64) float64 { return report.Quantile(last, share) * 1e3 }
	fmt.Printf("%-24s %-9s %d flips: last request p50 %.0f ms max %.0f; %d of %d requests failed %s; latency p99 %.1f ms; load average %s\n",
		s, p.name(), len(got.flips), q(0.5), q(1), got.sum.Failed, got.sum.Done, reasons(got.sum.Failures), got.sum.P99*1e3, got.load)
	b.systemLines(s.describe(b.proxies), p.name(), map[string][]*round{p.name(): {got}}, meanwhile{notes: []string{p.note()}})
	return nil
}

// ttlsOf are the times that clients keep an address in the runs of a size. That the last request comes when one is over shows with any.
func ttlsOf(size report.Size) []time.Duration {
	switch size {
	case report.Quick:
		return []time.Duration{time.Second}
	case report.Short:
		return []time.Duration{time.Second, 2 * time.Second}
	case report.Full:
	}
	return []time.Duration{2 * time.Second, 5 * time.Second}
}
