package telemetry

import "time"

// clock tells by our clock when something happened by a proxy's. A message arrives after it was made, so each bounds the difference of the
// two clocks from one side; of the last messages the fastest says most. What it tells is late by that message's delay, never early.
type clock struct {
	ahead [16]time.Duration // our clock at arrival − the proxy's in the message
	seen  int
}

// saw notes a message made at a time of the proxy's clock, in Unix nanoseconds.
func (c *clock) saw(arrived time.Time, made uint64) {
	c.ahead[c.seen%len(c.ahead)] = time.Duration(arrived.UnixNano() - int64(made))
	c.seen++
}

// ours tells a time of the proxy's clock by ours.
func (c *clock) ours(nanos uint64) time.Time {
	least := c.ahead[0]
	for _, d := range c.ahead[:min(c.seen, len(c.ahead))] {
		least = min(least, d)
	}
	return time.Unix(0, int64(nanos)).Add(least)
}
