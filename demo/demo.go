package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// demo is a run of the story.
type demo struct {
	options
	*screen
	world
	*result
	traffic *traffic
	probed  []sent // requests beside the client's steady ones
}

// close ends everything that runs.
func (d *demo) close() {
	if d.traffic != nil {
		d.traffic.stop()
	}
	if !d.told {
		d.count()
		if d.failed > 0 {
			d.broke(plural(d.failed, "request") + " failed")
		}
	}
	d.world.close()
}

// count brings the client's figures up to date.
func (d *demo) count() {
	if d.traffic == nil {
		return
	}
	d.requests, d.failed, d.originErrors, _ = d.traffic.totals()
	for _, r := range d.probed {
		d.requests++
		if r.Failed() {
			d.failed++
		}
		if r.OriginError() {
			d.originErrors++
		}
	}
}

// promise says what is not as promised, and goes on.
func (d *demo) promise(kept bool, format string, args ...any) {
	if kept {
		return
	}
	why := fmt.Sprintf(format, args...)
	d.broke(why)
	d.say("%s", d.paint("NOT AS PROMISED: "+why, red))
}

// watch looks at the client for some more time and shows what it saw since a moment, which has a name.
func (d *demo) watch(ctx context.Context, when string, since mark, began time.Time, more time.Duration) (view, error) {
	if err := poll.Pause(ctx, more); err != nil {
		return view{}, err
	}
	over := time.Since(began)
	requests, err := d.traffic.between(ctx, since, d.traffic.mark())
	if err != nil {
		return view{}, err
	}
	v := look(requests, d.origins())
	d.show(v, when, over)
	if v.failed > 0 {
		d.say("%s", d.paint("NOT AS PROMISED: "+plural(v.failed, "request")+" failed", red)) // the reason at the end has the sum
	}
	d.promise(len(v.stray) == 0, "the client and the logs of the origins differ on %s: %s", plural(len(v.stray), "request"), some(v.stray))
	return v, nil
}

// expect watches the client from now on, and holds the share of eks against what was asked for.
func (d *demo) expect(ctx context.Context, eks float64) (view, error) {
	v, err := d.watch(ctx, "since then", d.traffic.mark(), time.Now(), d.pace)
	if err == nil {
		d.expectShare(v, eks)
	}
	return v, err
}

func (d *demo) expectShare(v view, eks float64) {
	got := v.origins[1].answered
	d.promise(byChance(got, v.requests-v.failed, eks), "eks answered %s, which is not what %g%% of %s gives by chance",
		plural(got, "request"), math.Round(eks*100), thousands(v.requests))
}

// probe sends requests with a header, ten to each proxy, and returns what became of them.
func (d *demo) probe(ctx context.Context, tag string, header [2]string) ([]sent, error) {
	var out []sent
	for n, target := range d.addresses() {
		path := func(i uint64) string { return fmt.Sprintf("/%s%s", tag, name(n, i)) }
		results := make(chan loadgen.Result, 10)
		_, err := loadgen.Do(ctx, loadgen.Config{
			Target: target, Rate: 200, Count: 10, Connections: 2, OnResult: func(r loadgen.Result) { results <- r },
			Make: func(i uint64) loadgen.Request {
				return loadgen.Request{Host: host, Path: path(i), Header: [][2]string{header}}
			},
		})
		if err != nil {
			return nil, err
		}
		close(results)
		for r := range results {
			out = append(out, sent{path(r.Index), r})
		}
	}
	d.probed = append(d.probed, out...)
	return out, nil
}

// showLogs shows the ends of the logs, after something went wrong.
func (d *demo) showLogs() {
	if d.Stack == nil {
		return
	}
	for _, p := range d.Proxies {
		if err, ended := p.Exited(); ended {
			d.say("\n%s has ended: %v", p.ID, err)
		}
	}
	if text := d.logs(); text != "" {
		d.say("\nThe last lines of the logs:\n%s", text)
	}
}
