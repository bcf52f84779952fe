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
func (m *Meter) flushed(bytes int, sent Sent, delay time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.counts
	switch {
	case err == nil:
		c.Flushes, c.FlushBytes = c.Flushes+1, c.FlushBytes+uint64(bytes)
		c.Requests, c.Failed, c.Busy = c.Requests+sent.Requests, c.Failed+sent.Failed, c.Busy+uint64(sent.Busy)
		m.delays = append(m.delays, delay.Seconds())
		return
	case late(err):
		c.TimedOut++
	default:
		c.Refused++
	}
	c.LastError = err.Error()
}

func (m *Meter) reported(bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Reports++
	m.counts.ReportBytes += uint64(bytes)
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

// Read returns the counts, and how long each flush took since the last call, in seconds: from when it was due until the server had it.
func (m *Meter) Read() (c Counts, delays []float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, delays, m.delays = m.counts, m.delays, nil
	return c, delays
}

// Since returns what was counted after an earlier reading. Lanes and LastError are those of now.
func (c Counts) Since(o Counts) Counts {
	c.Flushes, c.FlushBytes, c.TimedOut, c.Refused = c.Flushes-o.Flushes, c.FlushBytes-o.FlushBytes, c.TimedOut-o.TimedOut, c.Refused-o.Refused
	c.Requests, c.Failed, c.Busy = c.Requests-o.Requests, c.Failed-o.Failed, c.Busy-o.Busy
	c.Reports, c.ReportBytes, c.Broken = c.Reports-o.Reports, c.ReportBytes-o.ReportBytes, c.Broken-o.Broken
	return c
}
