package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

// Manners say how many proxies of a fleet can misbehave: the first of them refuse, the next are slow.
type Manners struct {
	Refusing, Slow int
	Least, Most    time.Duration // for which a slow one reads nothing after each response
}

func (m Manners) refuses(i int) bool { return i < m.Refusing }
func (m Manners) slow(i int) bool    { return !m.refuses(i) && i < m.Refusing+m.Slow }
func (m Manners) unruly(i int) bool  { return m.refuses(i) || m.slow(i) }

// unrulyPrefix begins the ids of those that can misbehave: so a server's meter tells them from the others.
const unrulyPrefix = "unruly-"

// clientID is the node.id of a simulated proxy.
func clientID(i int, unruly bool) string {
	if unruly {
		return fmt.Sprintf("%s%05d", unrulyPrefix, i)
	}
	return fmt.Sprintf("proxy-%05d", i)
}

func isUnruly(id string) bool { return strings.HasPrefix(id, unrulyPrefix) }

// manners are those of the clients of a process, switched on and off for all.
type manners struct {
	Manners
	mu   sync.Mutex
	calm chan struct{} // closed when they behave again; nil: they do
}

// bad is nil while everybody behaves, else what is closed when they do again.
func (m *manners) bad() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calm
}

// of is what client i answers; nil: it accepts everything.
func (m *manners) of(i int, marked string) func(deltaclient.Response) deltaclient.Verdict {
	switch {
	case m.refuses(i):
		return func(r deltaclient.Response) (v deltaclient.Verdict) {
			if m.bad() != nil && r.Type == deltaclient.Endpoints && slices.Contains(r.Upserts, marked) {
				v.Refuse = "an address that this proxy does not like"
			}
			return v
		}
	case m.slow(i):
		return func(deltaclient.Response) (v deltaclient.Verdict) {
			if calm := m.bad(); calm != nil {
				pause := time.NewTimer(m.Least + rand.N(m.Most-m.Least+1))
				defer pause.Stop()
				select {
				case <-pause.C:
				case <-calm:
				}
			}
			return v
		}
	}
	return nil
}

// BehaveArgs say whether those misbehave from now on that can.
type BehaveArgs struct {
	Unruly bool
}

// Behave switches.
func (r *fleetRole) Behave(args BehaveArgs, _ *struct{}) error {
	m := &r.manners
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calm != nil {
		close(m.calm)
		m.calm = nil
	}
	if args.Unruly {
		m.calm = make(chan struct{})
	}
	return nil
}
