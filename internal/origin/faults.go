package origin

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Faults is how an origin in state [Serving] treats requests. The zero value is a sound origin.
type Faults struct {
	ErrorShare float64       // share of requests, 0 to 1, answered with Status (gRPC: status 14, unavailable)
	Status     int           // 0 means 503
	ResetShare float64       // share of requests, 0 to 1, whose connection is reset once their head has arrived (HTTP/2: their stream)
	Latency    time.Duration // waited before every answer
}

// SetFaults replaces the faults. Shares are kept exactly, not by chance: of n requests in a row, n·share fail, give or take one.
func (o *Origin) SetFaults(f Faults) error {
	for _, share := range []float64{f.ErrorShare, f.ResetShare} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("origin %s: a share is 0 to 1, not %v", o.name, share)
		}
	}
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	if f.Status < 200 || f.Status > 599 || f.Latency < 0 {
		return fmt.Errorf("origin %s: status %d must be 200 to 599, latency %v not negative", o.name, f.Status, f.Latency)
	}
	o.dice.set(f)
	return nil
}

// fate is what befalls one request.
type fate struct {
	status  int // 0: as asked
	reset   bool
	latency time.Duration
}

// dice deals fates.
type dice struct {
	mu            sync.Mutex
	faults        Faults
	errors, reset float64 // what is owed, 0 to 1
}

func (d *dice) set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.errors, d.reset = f, 0, 0
}

func (d *dice) roll() fate {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := fate{latency: d.faults.Latency, reset: due(&d.reset, d.faults.ResetShare)}
	if due(&d.errors, d.faults.ErrorShare) {
		f.status = d.faults.Status
	}
	return f
}

// due adds a share to what is owed and says whether a whole one is.
func due(owed *float64, share float64) bool {
	const rounding = 1e-9
	*owed += share
	if *owed < 1-rounding {
		return false
	}
	*owed--
	return true
}
