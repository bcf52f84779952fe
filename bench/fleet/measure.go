package main

import (
	"fmt"
	"path/filepath"
)

// plan is how a run is measured.
type plan struct {
	Workload workload
	Clients  int
	Flips    int    // that are measured, after one turn of all services that flip
	Profiles string // folder, "" for none
}

// measured is one run of one system: fresh processes, a cold start, flips, a fold, a reconnect storm.
type measured struct {
	Cold          float64   // s: first connection attempt → every client holds everything
	ColdBytes     int64     // sent by the server until then
	Last          []float64 // s, for each flip: publication → last acknowledgement
	Median        []float64 // the same to the middle acknowledgement
	FlipBytes     float64   // per flip, to all
	FlipCPU       float64   // s of the server, per flip
	RSSBefore     int64     // bytes, of the server: without a client
	RSS, Peak     int64     // after the flips; the highest until then
	HeapBefore    int64     // after a collection
	Heap          int64
	Folded        bool
	FoldBytes     int64   // to all
	Storm         float64 // s: all connect again, one flip behind → every client holds everything
	StormUpserts  int     // resources sent until then, to all
	StormBytes    int64
	StormPeak     int64 // RSS
	Refused       int
	Lost          int64 // streams that ended by themselves
	ServerThreads int   // goroutines with all connected
}

// run measures a system once.
func (p plan) run(name string, number int) (*measured, error) {
	server, err := startChild(roleServer)
	if err != nil {
		return nil, err
	}
	fleet, err := startChild(roleFleet)
	if err != nil {
		return nil, firstError(err, server.stop())
	}
	r := &runner{plan: p, name: name, number: number, server: server, fleet: fleet, m: &measured{}}
	r.at.InRoutes = name == linearRoutes
	err = r.all()
	// The fleet first: a server that loses its clients must not fail.
	err = firstError(err, fleet.stop(), server.stop())
	if err != nil {
		return nil, fmt.Errorf("%s, run %d: %w", name, number, err)
	}
	return r.m, nil
}

// runner is a run on its way.
type runner struct {
	plan
	name          string
	number        int
	server, fleet *child
	m             *measured
	at            state
}

func (r *runner) all() error {
	for _, step := range []func() error{r.start, r.warmUp, r.flips, r.fold, r.storm} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) start() error {
	var address string
	if err := r.server.call("Start", StartArgs{System: r.name, Workload: r.Workload}, &address); err != nil {
		return err
	}
	var u Usage
	if err := r.server.call("Usage", UsageArgs{Collect: true}, &u); err != nil {
		return err
	}
	r.m.RSSBefore, r.m.HeapBefore = u.RSS, u.Heap
	if err := r.profile("cold"); err != nil {
		return err
	}
	var c Counts
	args := FleetArgs{Workload: r.Workload, At: r.at, Clients: r.Clients, Address: address}
	if err := r.fleet.call("Connect", args, &c); err != nil {
		return err
	}
	r.m.Cold, r.m.ColdBytes = c.Seconds, c.Bytes
	return r.endProfile()
}

// warmUp flips each service once, so that every measured flip carries the same number of levers.
func (r *runner) warmUp() error {
	for range r.Workload.Flipping {
		if _, _, err := r.flip(); err != nil {
			return err
		}
	}
	return r.server.call("Usage", UsageArgs{}, nil)
}

func (r *runner) flips() error {
	var before, after Counts
	if err := r.fleet.call("Hold", HoldArgs{r.at}, &before); err != nil {
		return err
	}
	if err := r.profile("flips"); err != nil {
		return err
	}
	for range r.Flips {
		a, c, err := r.flip()
		if err != nil {
			return err
		}
		after = c
		r.m.Last, r.m.Median = append(r.m.Last, a.Last), append(r.m.Median, a.Median)
		r.m.Refused += a.Refused
	}
	if err := r.endProfile(); err != nil {
		return err
	}
	r.m.FlipBytes = float64(after.Bytes-before.Bytes) / float64(r.Flips)
	var u Usage
	if err := r.server.call("Usage", UsageArgs{}, &u); err != nil {
		return err
	}
	r.m.FlipCPU, r.m.RSS, r.m.Peak, r.m.ServerThreads = u.CPU/float64(u.Flips), u.RSS, u.PeakRSS, u.Goroutines
	if err := r.server.call("Usage", UsageArgs{Collect: true}, &u); err != nil {
		return err
	}
	r.m.Heap = u.Heap
	if r.Profiles == "" {
		return nil
	}
	return r.server.call("HeapProfile", ProfileArgs{r.profileName("heap")}, nil)
}

// flip makes one change and checks that every client holds it, and nothing else that differs.
func (r *runner) flip() (a FlipAnswer, c Counts, err error) {
	if err = r.prepare(); err != nil {
		return a, c, err
	}
	if err = r.server.call("Flip", FlipArgs{Streams: r.Clients}, &a); err != nil {
		return a, c, err
	}
	return a, c, r.fleet.call("Hold", HoldArgs{r.at}, &c)
}

func (r *runner) prepare() error {
	r.at.Flip++
	return r.server.call("Prepare", PrepareArgs{r.at.Flip}, nil)
}

// fold measures what it costs to move the changes of the small layer to the base layers.
func (r *runner) fold() error {
	var before, after Counts
	if err := r.fleet.call("Hold", HoldArgs{r.at}, &before); err != nil {
		return err
	}
	if err := r.server.call("Fold", struct{}{}, &r.m.Folded); err != nil {
		return err
	}
	if r.m.Folded {
		r.at.Folded = r.at.Flip
	}
	if err := r.fleet.call("Hold", HoldArgs{r.at}, &after); err != nil {
		return err
	}
	r.m.FoldBytes = after.Bytes - before.Bytes
	return nil
}

// storm hangs up, flips, and lets all come back at once. What they have must not be sent again.
func (r *runner) storm() error {
	var before, after Counts
	if err := r.fleet.call("Hold", HoldArgs{r.at}, &before); err != nil {
		return err
	}
	if err := r.fleet.call("HangUp", struct{}{}, nil); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.server.call("Publish", struct{}{}, nil); err != nil {
		return err
	}
	if err := r.fleet.call("ComeBack", HoldArgs{r.at}, &after); err != nil {
		return err
	}
	var u Usage
	if err := r.server.call("Usage", UsageArgs{}, &u); err != nil {
		return err
	}
	r.m.Storm, r.m.StormPeak, r.m.Lost = after.Seconds, u.PeakRSS, after.Lost
	r.m.StormBytes, r.m.StormUpserts = after.Bytes-before.Bytes, after.Upserts-before.Upserts
	return nil
}

func (r *runner) profileName(of string) string {
	return filepath.Join(r.Profiles, fmt.Sprintf("%s-%d-%s.prof", r.name, r.number, of))
}

func (r *runner) profile(of string) error {
	if r.Profiles == "" {
		return nil
	}
	return r.server.call("StartProfile", ProfileArgs{r.profileName(of)}, nil)
}

func (r *runner) endProfile() error {
	if r.Profiles == "" {
		return nil
	}
	return r.server.call("StopProfile", struct{}{}, nil)
}
