package main

import (
	"fmt"
	"os"

	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
)

// cpus is how many seconds of CPU each part has used. What the parts of this machine use, the others wait for.
type cpus struct{ server, proxies, load, origins float64 }

func (b *bench) cpus(sys system) (c cpus) {
	c.load, c.origins = usage.CPU(b.load.PID()), usage.CPU(os.Getpid())
	for _, pid := range sys.pids() {
		c.proxies += usage.CPU(pid)
	}
	if sys.name() == b.cf.name() {
		c.server = usage.CPU(b.cf.Server.PID)
	}
	return c
}

// per returns the cores in use since another moment.
func (c cpus) per(since cpus, seconds float64) cpus {
	return cpus{
		(c.server - since.server) / seconds, (c.proxies - since.proxies) / seconds,
		(c.load - since.load) / seconds, (c.origins - since.origins) / seconds,
	}
}

func (c cpus) String() string {
	return fmt.Sprintf("cores: control plane %.2f, proxies %.2f, load %.2f, origins and caller %.2f", c.server, c.proxies, c.load, c.origins)
}

// turn is what a thread has got: seconds on a core, and seconds in which it could have run and waited for one.
type turn struct{ ran, waited float64 }

// turnOf is the turn of the main thread of a process, 0 where the system does not say it.
func turnOf(pid int) (t turn) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return turn{}
	}
	if _, err := fmt.Sscan(string(b), &t.ran, &t.waited); err != nil {
		return turn{}
	}
	return turn{t.ran / 1e9, t.waited / 1e9}
}
