package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/bench/mirror/beside"
)

// place is what stands beside the path.
func (s *site) place() beside.Place {
	return beside.Place{Server: func() int { return s.Server.PID }, Candidate: s.eks}
}

// processes are those of a site that have memory of their own, by kind.
func (s *site) processes() map[string][]int {
	out := map[string][]int{"xds-server": {s.Server.PID}, "comparator": {s.place().Comparator()}}
	for _, p := range s.Proxies {
		out["envoy"] = append(out["envoy"], p.PID())
	}
	return out
}

// memory is the resident bytes of a kind of process.
type memory struct{ before, peak float64 }

// watchMemory looks at the processes until the returned function is called.
func (s *site) watchMemory(ctx context.Context) (stop func() map[string]memory) {
	seen := map[string]memory{}
	look := func(i int) error {
		for kind, pids := range s.processes() {
			for _, pid := range pids {
				now, m := usage.Memory(pid, "VmRSS"), seen[kind]
				if i == 0 {
					m.before = max(m.before, now)
				}
				m.peak = max(m.peak, now)
				seen[kind] = m
			}
		}
		return nil
	}
	end := beside.Repeatedly(ctx, 100*time.Millisecond, look)
	return func() map[string]memory {
		_ = end()
		return seen
	}
}

// spent is CPU time in seconds.
type spent struct {
	server, comparator, proxies, self float64
	busy, total                       float64 // of the machine, others included
}

// spent is what was used from the start of each process.
func (s *site) spent() (c spent) {
	of := s.processes()
	c.server, c.comparator, c.self = usage.CPU(s.Server.PID), usage.CPU(of["comparator"][0]), usage.CPU(os.Getpid())
	for _, pid := range of["envoy"] {
		c.proxies += usage.CPU(pid)
	}
	c.busy, c.total = machine()
	return c
}

// minus is what was used since another moment.
func (c spent) minus(o spent) spent {
	return spent{c.server - o.server, c.comparator - o.comparator, c.proxies - o.proxies, c.self - o.self, c.busy - o.busy, c.total - o.total}
}

// plus is what was used in two times together.
func (c spent) plus(o spent) spent {
	return spent{c.server + o.server, c.comparator + o.comparator, c.proxies + o.proxies, c.self + o.self, c.busy + o.busy, c.total + o.total}
}

// own is what everything that belongs to the benchmark has used.
func (c spent) own() float64 { return c.server + c.comparator + c.proxies + c.self }

// share is how busy the machine was, 0 to 1.
func (c spent) share() float64 { return c.busy / max(c.total, 1e-9) }

func (c spent) String() string {
	seconds := max(c.total, 1e-9) / float64(runtime.NumCPU())
	return fmt.Sprintf("machine %.0f %% busy; cores: proxies %.2f, comparator %.2f, control plane %.2f, load and origins %.2f",
		c.share()*100, c.proxies/seconds, c.comparator/seconds, c.server/seconds, c.self/seconds)
}

// machine is the CPU time, in seconds, that all cores have spent on something, and altogether.
func machine() (busy, total float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(first)[1:] {
		const idle, wait, guest = 3, 4, 8
		n, _ := strconv.ParseFloat(field, 64)
		if n /= 100; i >= guest {
			break // counted as user already
		}
		if total += n; i != idle && i != wait {
			busy += n
		}
	}
	return busy, total
}
