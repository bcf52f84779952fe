package origin

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// State is how an origin treats connections.
type State int

// The states of an origin.
const (
	// Serving: connections are accepted, requests answered.
	Serving State = iota
	// Refusing: as if the process had died. Open connections are closed, new ones refused.
	Refusing
	// BlackHole: as if the process were frozen. New connections do not come about (their SYN is dropped, for the queue of the
	// listener is full), and open ones say nothing more; what is sent on them fills the kernel's buffers.
	BlackHole
	// Resetting: connections are accepted, then reset at once; open ones are reset.
	Resetting
)

// String names the state.
func (s State) String() string {
	switch s {
	case Serving:
		return "serving"
	case Refusing:
		return "refusing"
	case BlackHole:
		return "black hole"
	case Resetting:
		return "resetting"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// SetState changes how connections are treated, at once; the port stays the same.
func (o *Origin) SetState(s State) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.shutting.Load() {
		return fmt.Errorf("origin %s is closed", o.name)
	}
	if s == o.state {
		return nil
	}
	next, err := o.openDoor(s)
	if err != nil {
		return fmt.Errorf("origin %s, %s: %w", o.name, s, err)
	}
	if s == BlackHole {
		o.gate.shut()
	}
	previous := o.door
	o.door, o.state = next, s
	previous.close()
	if fill, ok := next.(*fullQueue); ok {
		if err := fill.fill(o.Addr()); err != nil {
			return fmt.Errorf("origin %s, %s: %w", o.name, s, err)
		}
	}
	if s == Refusing || s == Resetting {
		for c := range o.conns {
			if tcp, ok := c.(gatedConn); ok && s == Resetting {
				_ = tcp.SetLinger(0)
			}
		}
		o.cut()
	}
	if s != BlackHole {
		o.gate.open()
	}
	return nil
}

// door is what stands at the port in one state.
type door interface{ close() }

// openDoor makes the door of a state. Two may stand at the port for a moment, so that no state shows between them.
func (o *Origin) openDoor(s State) (door, error) {
	switch s {
	case Serving, Resetting:
		l, err := o.port.Listen()
		if err != nil {
			return nil, err
		}
		d := &listening{l: l}
		o.serving.Go(func() { o.accept(l, s) })
		return d, nil
	case BlackHole:
		return newFullQueue(o.port.Number(), o.port.Host())
	case Refusing:
		return noDoor{}, nil
	}
	return nil, fmt.Errorf("no such state: %d", int(s))
}

// noDoor: the port is reserved, nobody listens.
type noDoor struct{}

func (noDoor) close() {}

// listening is a listener with an accept loop, which ends when it is closed.
type listening struct{ l net.Listener }

func (d *listening) close() { _ = d.l.Close() }

// fullQueue is a listener with room for one connection that nobody accepts, and a connection that fills it.
type fullQueue struct {
	fd      int
	fillers []net.Conn
}

func newFullQueue(port int, host string) (*fullQueue, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	addr := &unix.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(host).To4())}
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) },
		func() error { return unix.Bind(fd, addr) },
		func() error { return unix.Listen(fd, 0) },
	} {
		if err := step(); err != nil {
			_ = unix.Close(fd)
			return nil, os.NewSyscallError("black hole", err)
		}
	}
	return &fullQueue{fd: fd}, nil
}

// fill connects until no connection comes about any more.
func (d *fullQueue) fill(address string) error {
	const enough, patience = 64, 100 * time.Millisecond
	for range enough {
		c, err := net.DialTimeout("tcp4", address, patience)
		if err != nil {
			return nil //nolint:nilerr // this failure is what was wanted
		}
		d.fillers = append(d.fillers, c)
	}
	return fmt.Errorf("%d connections came about, and still one more", enough)
}

func (d *fullQueue) close() {
	for _, c := range d.fillers {
		_ = c.Close()
	}
	_ = unix.Close(d.fd)
}

// gate stops those who pass it while it is shut. The zero value is open.
type gate struct {
	mu   sync.Mutex
	wait chan struct{} // nil: open; closed when it opens
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wait == nil {
		g.wait = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wait != nil {
		close(g.wait)
		g.wait = nil
	}
}

// pass returns when the gate is open.
func (g *gate) pass() {
	g.mu.Lock()
	wait := g.wait
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
}
