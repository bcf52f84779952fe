package main

import (
	"fmt"
	"path/filepath"
)

// plan is how the systems are measured.
type plan struct {
	Workload workload
	Clients  int
	Flips    int    // that are measured, after one turn of all services that flip
	Profiles string // folder, "" for none
}

// measured is what one system showed in one round.
type measured struct {
	Cold          float64   // s: first connection attempt → every client holds everything
	ColdCPU       float64   // s of the server until then
	ColdBytes     int64     // sent by the server until then
	Last          []float64 // s, for each flip: publication → last acknowledgement
	Median        []float64 // the same to the middle acknowledgement
	FlipBytes     float64   // per flip, to all
	FlipCPU       float64   // s of the server, per flip
	FlipResponses float64   // per flip, to all
	RSSBefore     int64     // bytes, of the server: without a client
	RSS, Peak     int64     // after the flips; the highest until then
	HeapBefore    int64     // after a collection
	Heap          int64
	Goroutines    int   // of the server, with all connected
	Stacks        int64 // their bytes
	Folded        bool
	FoldBytes     int64   // to all
	Storm         float64 // s: all connect again, one flip behind → every client holds everything
	StormCPU      float64 // s of the server until then
	StormUpserts  int     // resources sent until then, to all
	StormBytes    int64
	StormPeak     int64 // RSS
	Refused       int
	Lost          int64 // streams that ended by themselves
}

// round measures every system once, each in fresh processes. Cold starts, folds and reconnect storms follow each other; flips take turns,
// so that what else goes on in the machine hits all systems alike.
func (p plan) round(names []string, number int) (_ map[string]*measured, err error) {
	runners := make([]*runner, 0, len(names))
	defer func() {
		for _, r := range runners {
			err = firstError(err, r.stop())
		}
	}()
	for _, name := range names {
		r, err := p.newRunner(name, number)
		if err != nil {
			return nil, err
		}
		runners = append(runners, r)
	}
	each := func(steps ...func(*runner) error) error {
		for _, r := range runners {
			for _, step := range steps {
				if err := step(r); err != nil {
					return fmt.Errorf("%s, round %d: %w", r.name, number+1, err)
				}
			}
		}
		return nil
	}
	if err := each((*runner).start, (*runner).warmUp); err != nil {
		return nil, err
	}
	for range p.Flips {
		if err := each((*runner).measuredFlip); err != nil {
			return nil, err
		}
		runners = append(runners[1:], runners[0]) // nobody always follows the same one
	}
	if err := each((*runner).endFlips); err != nil { // of all at the same time: memory goes back to the system by and by
		return nil, err
	}
	if err := each((*runner).fold, (*runner).storm); err != nil {
		return nil, err
	}
	out := map[string]*measured{}
	for _, r := range runners {
		out[r.name] = &r.m
	}
	return out, nil
}

// runner is one system in one round.
type runner struct {
	plan
	name          string
	number        int
	server, fleet *child
	at            state
	began         Counts // of the fleet, when the measured flips began
	m             measured
}

func (p plan) newRunner(name string, number int) (*runner, error) {
	server, err := startChild(roleServer)
	if err != nil {
		return nil, err
	}
	fleet, err := startChild(roleFleet)
	if err != nil {
		return nil, firstError(err, server.stop())
	}
	return &runner{plan: p, name: name, number: number, server: server, fleet: fleet, at: state{InRoutes: name == linearRoutes}}, nil
}

func (r *runner) stop() error { return firstError(r.fleet.stop(), r.server.stop()) }

func (r *runner) usage(collect bool) (u Usage, err error) {
	return u, r.server.call("Usage", UsageArgs{collect}, &u)
}

// hold waits until the fleet holds what it should.
func (r *runner) hold() (c Counts, err error) { return c, r.fleet.call("Hold", HoldArgs{r.at}, &c) }

func (r *runner) start() error {
	var address string
	if err := r.server.call("Start", StartArgs{System: r.name, Workload: r.Workload}, &address); err != nil {
		return err
	}
	before, err := r.usage(true)
	if err != nil {
		return err
	}
	r.m.RSSBefore, r.m.HeapBefore = before.RSS, before.Heap
	if err := r.profile("cold"); err != nil {
		return err
	}
	var c Counts
	if err := r.fleet.call("Connect", FleetArgs{r.Workload, r.at, r.Clients, address}, &c); err != nil {
		return err
	}
	after, err := r.usage(false)
	if err != nil {
		return err
	}
	r.m.Cold, r.m.ColdBytes, r.m.ColdCPU = c.Seconds, c.Bytes, after.AllCPU-before.AllCPU
	return r.endProfile()
}

// warmUp flips each service once, so that every measured flip carries the same number of levers.
func (r *runner) warmUp() error {
	for range r.Workload.Flipping {
		if _, err := r.flip(); err != nil {
			return err
		}
	}
	c, err := r.hold()
	if err != nil {
		return err
	}
	r.began = c
	if _, err := r.usage(false); err != nil { // what comes counts
		return err
	}
	return r.profile("flips")
}

func (r *runner) measuredFlip() error {
	a, err := r.flip()
	r.m.Last, r.m.Median = append(r.m.Last, a.Last), append(r.m.Median, a.Median)
	r.m.Refused += a.Refused
	return err
}

// flip makes one change and checks that every client holds it, and nothing else that differs.
func (r *runner) flip() (a FlipAnswer, err error) {
	if err := r.prepare(); err != nil {
		return a, err
	}
	if err := r.server.call("Flip", FlipArgs{r.Clients}, &a); err != nil {
		return a, err
	}
	if _, err := r.hold(); err != nil {
		return a, err
	}
	return a, r.server.call("Settle", struct{}{}, nil)
}

func (r *runner) prepare() error {
	r.at.Flip++
	return r.server.call("Prepare", PrepareArgs{r.at.Flip}, nil)
}

func (r *runner) endFlips() error {
	if err := r.endProfile(); err != nil {
		return err
	}
	c, err := r.hold()
	if err != nil {
		return err
	}
	r.m.FlipBytes = float64(c.Bytes-r.began.Bytes) / float64(r.Flips)
	r.m.FlipResponses = float64(c.Responses-r.began.Responses) / float64(r.Flips)
	u, err := r.usage(false)
	if err != nil {
		return err
	}
	r.m.FlipCPU, r.m.RSS, r.m.Peak, r.m.Goroutines, r.m.Stacks = u.CPU/float64(u.Flips), u.RSS, u.PeakRSS, u.Goroutines, u.Stacks
	if u, err = r.usage(true); err != nil {
		return err
	}
	r.m.Heap = u.Heap
	if r.Profiles == "" {
		return nil
	}
	return r.server.call("HeapProfile", ProfileArgs{r.profileName("heap")}, nil)
}

// fold measures what it costs to move the changes of the small layer to the base layers.
func (r *runner) fold() error {
	before, err := r.hold()
	if err != nil {
		return err
	}
	if err := r.server.call("Fold", struct{}{}, &r.m.Folded); err != nil {
		return err
	}
	if r.m.Folded {
		r.at.Folded = r.at.Flip
	}
	after, err := r.hold()
	r.m.FoldBytes = after.Bytes - before.Bytes
	return err
}

// storm hangs up, flips, and lets all come back at once. What they have must not be sent again.
func (r *runner) storm() error {
	before, err := r.hold()
	if err != nil {
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
	began, err := r.usage(false)
	if err != nil {
		return err
	}
	var after Counts
	if err := r.fleet.call("ComeBack", HoldArgs{r.at}, &after); err != nil {
		return err
	}
	ended, err := r.usage(false)
	r.m.Storm, r.m.StormCPU, r.m.StormPeak, r.m.Lost = after.Seconds, ended.AllCPU-began.AllCPU, ended.PeakRSS, after.Lost
	r.m.StormBytes, r.m.StormUpserts = after.Bytes-before.Bytes, after.Upserts-before.Upserts
	return err
}

func (r *runner) profileName(of string) string {
	return filepath.Join(r.Profiles, fmt.Sprintf("%s-%d-%s.prof", r.name, r.number+1, of))
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
