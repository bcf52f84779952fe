package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// cpus is how many seconds of CPU each part has used. What the parts of this machine use, the others wait for.
type cpus struct{ server, proxies, load, origins float64 }

func (b *bench) cpus(sys system) (c cpus) {
	c.load, c.origins = cpuOf(b.load.cmd.Process.Pid), cpuOf(os.Getpid())
	if h, ok := sys.(*haproxies); ok {
		for _, p := range h.processes {
			c.proxies += cpuOf(p.cmd.Process.Pid)
		}
		return c
	}
	c.server = cpuOf(b.cf.Server.PID)
	for _, p := range b.cf.Proxies {
		c.proxies += cpuOf(p.PID())
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

// cpuOf is the CPU time of a process in seconds, 0 where the system does not say it.
func cpuOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const ticks = 100 // per second, on every Linux that Go runs on
	sum := 0.0
	for _, f := range slices.Clone(fields[11:13]) {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0
		}
		sum += n / ticks
	}
	return sum
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
