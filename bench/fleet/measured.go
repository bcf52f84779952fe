package main

import (
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// measured is what one subject showed in one round.
type measured struct {
	GaveUp        string    // why it was measured no further; then nothing of this round counts
	Cold          float64   // s: first connection attempt → every client holds everything
	ColdCPU       float64   // s of the server until then
	ColdBytes     int64     // sent by the server until then
	Last          []float64 // s, for each flip: publication → last acknowledgement
	Median        []float64 // the same to the middle acknowledgement
	FlipBytes     float64   // per flip, to all
	FlipCPU       float64   // s of the server, per flip, collections of garbage and all else that it does meanwhile included
	Collections   float64   // of garbage, per flip
	FleetCPU      float64   // s of all simulated proxies, per flip
	FlipResponses float64   // per flip, to all
	RSSBefore     int64     // bytes, of the server: without a client
	RSS, Peak     int64     // after the flips; the highest until then
	HeapBefore    int64     // after a collection
	Heap          int64
	Goroutines    int     // of the server, with all connected
	Stacks        int64   // their bytes
	Fold          float64 // s: all acknowledged it
	FoldBytes     int64   // to all
	FoldCPU       float64 // s of the server
	Storm         float64 // s: all connect again, one flip behind → every client holds everything
	StormCPU      float64 // s of the server until then
	StormUpserts  int     // resources sent until then, to all
	StormBytes    int64
	StormPeak     int64 // RSS, since all had hung up
	Refused       int
	Lost          int64 // streams that ended by themselves

	Behaving, Unruly phase // in the part manners only

	Envoy    map[string]*envoyCost // in the part envoy only: by what changes
	EnvoyRSS float64               // bytes, in the end
}

// String is what one looks at first.
func (m *measured) String() string {
	if m.GaveUp != "" {
		return m.GaveUp
	}
	if len(m.Envoy) > 0 {
		return envoyCosts(m.Envoy)
	}
	if len(m.Unruly.Last) > 0 {
		return fmt.Sprintf("all behave: %v; some do not: %v", &m.Behaving, &m.Unruly)
	}
	return fmt.Sprintf("flip p50 %.1f ms, p99 %.1f, CPU %.1f, fleet's %.1f, %.2f MB; memory %.0f MB, peak %.0f; "+
		"cold %.2f s, CPU %.2f, %.1f MB; storm %.2f s, CPU %.2f; %d streams lost",
		report.ByP50.Of(m.Last)*1e3, report.ByP99.Of(m.Last)*1e3, m.FlipCPU*1e3, m.FleetCPU*1e3, m.FlipBytes/1e6,
		float64(m.RSS)/1e6, float64(m.Peak)/1e6, m.Cold, m.ColdCPU, float64(m.ColdBytes)/1e6, m.Storm, m.StormCPU, m.Lost)
}
