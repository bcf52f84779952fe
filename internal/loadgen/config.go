package loadgen

import (
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// Protocol is what a generator speaks.
type Protocol int

// The protocols.
const (
	HTTP1 Protocol = iota // HTTP/1.1 with keep-alive, one request at a time on a connection
	HTTP2                 // in clear text, with prior knowledge
)

// Request is what to send.
type Request struct {
	Method string      // empty means GET
	Path   string      // with query; empty means /
	Host   string      // empty means the target's address
	Header [][2]string // HTTP/1.1: sent as written, in order
	Body   []byte      // sent with its length
}

// Limits of a run, so that a mistake ends.
const (
	MaxRate     = 200_000.0 // requests per second
	MaxDuration = 2 * time.Hour
)

// Config says what to send, where, how fast and how long. Target, Rate and one of Duration and Count are needed.
type Config struct {
	Target   string        // HOST:PORT, a loopback address
	Protocol Protocol      // of all connections
	Rate     float64       // requests per second
	Duration time.Duration // of the sending, at most [MaxDuration], which is what 0 means
	Count    uint64        // how many requests; 0 means as many as Duration allows

	Request Request                // what to send
	Make    func(i uint64) Request // if set, makes the i-th request instead; called from one goroutine, in order

	Connections int           // 0 means 64 for HTTP/1.1, 2 for HTTP/2
	InFlight    int           // HTTP/2: requests at once; 0 means 1,000. HTTP/1.1: as many as there are connections
	Timeout     time.Duration // from when a request is due to the end of its answer; 0 means 10 s
	Queue       int           // requests that may wait for a connection, the others are not sent; 0 means as many as come due in one timeout

	OnResult func(Result) // if set, is told of each request at its end; called from several goroutines
}

// check fills in the defaults and returns what is wrong.
func (c *Config) check() error {
	if err := loopback.Check(c.Target); err != nil {
		return fmt.Errorf("loadgen: target %w", err)
	}
	if !(c.Rate > 0 && c.Rate <= MaxRate) {
		return fmt.Errorf("loadgen: the rate must be above 0 and at most %v per second, not %v", MaxRate, c.Rate)
	}
	if c.Duration < 0 || c.Duration > MaxDuration || c.Duration == 0 && c.Count == 0 {
		return fmt.Errorf("loadgen: a run needs a count, or a duration of at most %v, not %v", MaxDuration, c.Duration)
	}
	if c.Connections < 0 || c.InFlight < 0 || c.Timeout < 0 || c.Queue < 0 {
		return errors.New("loadgen: connections, requests in flight, timeout and queue must not be negative")
	}
	c.Duration = orElse(c.Duration, MaxDuration)
	c.Timeout = orElse(c.Timeout, 10*time.Second)
	switch c.Protocol {
	case HTTP1:
		c.Connections = orElse(c.Connections, 64)
		c.InFlight = c.Connections
	case HTTP2:
		c.Connections = orElse(c.Connections, 2)
		c.InFlight = orElse(c.InFlight, 1000)
	default:
		return fmt.Errorf("loadgen: no such protocol: %d", c.Protocol)
	}
	if c.Make == nil {
		c.Make = func(uint64) Request { return c.Request }
	}
	return nil
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
