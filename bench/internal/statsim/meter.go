package statsim

import (
	"sync"
	"time"
)

// Meter counts what the senders of a fleet sent.
type Meter struct {
	mu     sync.Mutex
	counts Counts
	delays []float64
	own    map[string]*own // by proxy, since the last reading
}

// own is what one proxy sent.
type own struct {
	bytes    uint64
	reported bool // load reports are among it
}

// add notes bytes of a proxy. The caller holds the lock.
func (m *Meter) add(proxy string, bytes int, reported bool) {
	if m.own == nil {
		m.own = map[string]*own{}
	}
	o := m.own[proxy]
	if o == nil {
		o = &own{}
		m.own[proxy] = o
	}
	o.bytes, o.reported = o.bytes+uint64(bytes), o.reported || reported
}

// Counts are sums over all proxies. Bytes are of messages, without what gRPC, HTTP/2 and TCP put around them.
type Counts struct {
	Flushes     uint64 // that were taken
	FlushBytes  uint64 // of them
	TimedOut    uint64
	Refused     uint64 // or failed otherwise
	Requests    uint64 // that flushes which were taken tell of
	Failed      uint64 // of them
	Busy        uint64 // clusters that had requests, over all flushes that were taken
	Reports     uint64 // messages of load reports
	ReportBytes uint64
	Broken      uint64 // streams of load reports
	Lanes       int    // proxies that are asked for load reports at the moment
	LastError   string
}

// flushed notes what became of a flush. The delay is from when it was due to when the server had it.
func (m *Meter) flushed(proxy string, bytes int, sent Sent, delay time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.counts
	switch {
	case err == nil:
		c.Flushes, c.FlushBytes = c.Flushes+1, c.FlushBytes+uint64(bytes)
		c.Requests, c.Failed, c.Busy = c.Requests+sent.Requests, c.Failed+sent.Failed, c.Busy+uint64(sent.Busy)
		m.delays = append(m.delays, delay.Seconds())
		m.add(proxy, bytes, false)
		return
	case late(err):
		c.TimedOut++
	default:
		c.Refused++
	}
	c.LastError = err.Error()
}

// reported notes a message of the stream of load reports; not all have some.
func (m *Meter) reported(proxy string, bytes int, some bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Reports++
	m.counts.ReportBytes += uint64(bytes)
	m.add(proxy, bytes, some)
}

// lane notes that a proxy is asked for other clusters than before.
func (m *Meter) lane(before, now int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case before == 0 && now > 0:
		m.counts.Lanes++
	case before > 0 && now == 0:
		m.counts.Lanes--
	}
}

func (m *Meter) broke(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Broken++
	if err != nil {
		m.counts.LastError = err.Error()
	}
}

// Reading is what a meter counted so far, and more of what came since the reading before.
type Reading struct {
	Counts Counts
	Delays []float64 // of each flush, in seconds, from when it was due until the server had it
	Both   []float64 // bytes of each proxy that sent load reports, of its flushes and of these
}

// Read reads.
func (m *Meter) Read() (r Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Counts, r.Delays = m.counts, m.delays
	for _, o := range m.own {
		if o.reported {
			r.Both = append(r.Both, float64(o.bytes))
		}
	}
	m.delays, m.own = nil, nil
	return r
}

// Since returns what was counted after an earlier reading. Lanes and LastError are those of now.
func (c Counts) Since(o Counts) Counts {
	c.Flushes, c.FlushBytes, c.TimedOut, c.Refused = c.Flushes-o.Flushes, c.FlushBytes-o.FlushBytes, c.TimedOut-o.TimedOut, c.Refused-o.Refused
	c.Requests, c.Failed, c.Busy = c.Requests-o.Requests, c.Failed-o.Failed, c.Busy-o.Busy
	c.Reports, c.ReportBytes, c.Broken = c.Reports-o.Reports, c.ReportBytes-o.ReportBytes, c.Broken-o.Broken
	return c
}
