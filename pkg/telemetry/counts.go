package telemetry

// Counts is what the requests at one cluster came to in some time.
type Counts struct {
	Started     uint64    // requests that got a connection (upstream_rq_total)
	Queued      uint64    // requests that waited for one (upstream_rq_pending_total); those that got it are in Started as well
	Overflow    uint64    // refused by a circuit breaker
	NoneHealthy uint64    // found no healthy endpoint
	ConnectFail uint64    // connections that could not be made
	Reset       uint64    // streams reset by the origin
	Timeout     uint64    // requests that took too long
	Hidden      uint64    // requests that failed here and that the other origin answered in its place
	Class       [6]uint64 // answers by the first digit of their status; 0 is not used. A proxy's own 503 and 504 are in Class[5]
}

func (c *Counts) add(o *Counts) {
	c.Started += o.Started
	c.Queued += o.Queued
	c.Overflow += o.Overflow
	c.NoneHealthy += o.NoneHealthy
	c.ConnectFail += o.ConnectFail
	c.Reset += o.Reset
	c.Timeout += o.Timeout
	c.Hidden += o.Hidden
	for i := range c.Class {
		c.Class[i] += o.Class[i]
	}
}

// Answers is the number of requests that were answered, by the origin or in its place.
func (c *Counts) Answers() uint64 {
	var n uint64
	for _, x := range c.Class {
		n += x
	}
	return n
}

// failed is the number of requests that failed here, whoever answered them in the end.
func (c *Counts) failed() uint64 { return c.Class[5] + c.Hidden }

// picks is zero only if no request chose the cluster. A request that waited and then got a connection counts twice.
func (c *Counts) picks() uint64 { return c.Started + c.Queued + c.Overflow + c.NoneHealthy }

// failures are the traces of requests that got no connection.
func (c *Counts) failures() uint64 { return c.Overflow + c.NoneHealthy + c.ConnectFail }
