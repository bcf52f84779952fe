package awstest

import (
	"maps"
	"time"
)

// Fault makes calls fail.
type Fault struct {
	Action  string // "ListTasks"; empty is all
	Cluster string // name; empty is all
	Code    string // "ThrottlingException"
	Message string
	Status  int // of HTTP; 0 is 400
	Times   int // how many calls fail; 0 is all until [ECS.Heal]
}

// Fail adds a fault. Of several that fit a call, the first one counts.
func (e *ECS) Fail(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &f)
}

// Heal ends all faults.
func (e *ECS) Heal() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// Latency makes each answer take this long.
func (e *ECS) Latency(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.latency = d
}

// Down refuses connections, or no longer does.
func (e *ECS) Down(down bool) {
	e.mu.Lock()
	change := e.down != down
	e.down = down
	s := e.server
	e.mu.Unlock()
	if s != nil && change {
		s.set(down)
	}
}

// Calls returns how often each action was asked for, in vain or not.
func (e *ECS) Calls() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.calls)
}

// count notes a call and returns how it is to fail; nil if it is not.
func (e *ECS) count(action, cluster string) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[action]++
	for i, f := range e.faults {
		if f.Action != "" && f.Action != action || f.Cluster != "" && f.Cluster != cluster {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				e.faults = append(e.faults[:i:i], e.faults[i+1:]...)
			}
		}
		return &hit
	}
	return nil
}
