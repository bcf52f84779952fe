package statsim

import (
	"math/rand/v2"
	"time"
)

// Cluster is an origin of a service, as proxies know it.
type Cluster struct {
	Name    string // SERVICE/ORIGIN
	Address string // of its one endpoint
	Port    int
}

// Load is what one proxy sends to a cluster.
type Load struct {
	Rate   float64 // requests per second
	Errors float64 // share of them that is answered 500
}

// Proxy is what one proxy counts. It must not be used by several goroutines at a time.
type Proxy struct {
	clusters []Cluster // not changed, shared by all proxies
	index    map[string]int
	loads    []Load // of clusters
	counters []counter
	at       time.Time // up to which the counters count
	flushed  time.Time // end of the last flush; zero: none yet
	asked    []asked   // by the last load response
}

// counter is of one cluster.
type counter struct {
	amount, wrong     float64 // requests and failures so far, with a fraction of the next
	flushed, reported sum     // what the last flush and the last load report ended with
}

// sum counts requests, and those of them that failed.
type sum struct{ done, failed uint64 }

func (s sum) since(o sum) sum { return sum{s.done - o.done, s.failed - o.failed} }

func (c *counter) sum() sum { return sum{uint64(c.amount), uint64(c.wrong)} }

// Fleet is what all proxies of a fleet share.
type Fleet struct {
	clusters []Cluster
	index    map[string]int
}

// NewFleet returns a fleet that knows these clusters.
func NewFleet(clusters []Cluster) *Fleet {
	f := &Fleet{clusters, make(map[string]int, len(clusters))}
	for i, c := range clusters {
		f.index[c.Name] = i
	}
	return f
}

// Proxy returns a proxy that has served nothing yet. Its requests come at other moments than those of others.
func (f *Fleet) Proxy(rnd *rand.Rand, now time.Time) *Proxy {
	p := &Proxy{clusters: f.clusters, index: f.index, loads: make([]Load, len(f.clusters)), counters: make([]counter, len(f.clusters)), at: now}
	for i := range p.counters {
		p.counters[i].amount = rnd.Float64()
	}
	return p
}

// Serve changes what is sent from now on: loads has an element for each cluster, and is not changed afterwards.
func (p *Proxy) Serve(loads []Load, now time.Time) {
	p.count(now)
	p.loads = loads
}

// count lets the counters count up to now.
func (p *Proxy) count(now time.Time) {
	seconds := now.Sub(p.at).Seconds()
	if seconds <= 0 {
		return
	}
	p.at = now
	for i, load := range p.loads {
		c := &p.counters[i]
		before := uint64(c.amount)
		c.amount += load.Rate * seconds
		c.wrong += load.Errors * float64(uint64(c.amount)-before) // of whole requests, so that no failure comes before its request
	}
}
