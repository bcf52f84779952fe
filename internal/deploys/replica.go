package deploys

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// App is what an application is like.
type App struct {
	Exits    bool          // at SIGTERM it exits at once, whatever is in flight
	LameDuck time.Duration // otherwise: how long it serves on after SIGTERM, before it accepts no more and finishes what is in flight
	Latency  time.Duration // of its answers
}

// Life is how long the steps of a replica's life take. Zero means no time at all.
type Life struct {
	App
	Start   time.Duration // from its start until it is ready
	PreStop time.Duration // from the announcement that it stops to SIGTERM: a preStop hook; of an ECS task behind a load balancer DEACTIVATING
	Grace   time.Duration // until SIGKILL: from the announcement for a pod, from SIGTERM for a task; 0 means 3 s, a tenth of both defaults
	Lag     time.Duration // how much later than the replica itself the API learns that it stops: controllers with much to do
}

func (l Life) grace() time.Duration {
	if l.Grace == 0 {
		return 3 * time.Second
	}
	return l.Grace
}

// Spec is an application that is to run. All replicas of it have the same port, as pods of a service do.
type Spec struct {
	Name string // of its origins: in every answer
	Port int
	Life
}

// Replica is one pod or task.
type Replica struct {
	*origin.Origin
	ID      string         // name of the pod, ARN of the task
	Address netip.AddrPort // as it is announced: 10.a.b.c
	Zone    string

	state condition // guarded by the platform
	arn   string
}

// condition is what an orchestrator says of a replica.
type condition int

const (
	pending condition = iota
	ready
	stopping
)

// newReplica starts an application at an address that no other had.
func newReplica(s Spec, id string, number int) (*Replica, error) {
	listen := loopback.Host()
	o, err := origin.Start(origin.Config{Name: s.Name, Address: net.JoinHostPort(listen, strconv.Itoa(s.Port)), Plain: true, Keep: -1})
	if err != nil {
		return nil, fmt.Errorf("replica %s: %w", id, err)
	}
	if err := o.SetFaults(origin.Faults{Latency: s.Latency}); err != nil {
		o.Close()
		return nil, err
	}
	announced := netip.MustParseAddr(listen).As4()
	announced[0] = 10
	return &Replica{
		Origin: o, ID: id, Address: netip.AddrPortFrom(netip.AddrFrom4(announced), uint16(s.Port)),
		Zone: "eu-central-1" + string(rune('a'+number%3)),
	}, nil
}

// terminate sends SIGTERM, and SIGKILL after the grace. It returns when the application has ended; the error says that it was killed with
// requests in flight.
func (r *Replica) terminate(ctx context.Context, l Life, grace time.Duration) error {
	if l.Exits {
		r.Close()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return r.Drain(ctx, l.LameDuck)
}
