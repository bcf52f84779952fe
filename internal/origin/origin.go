package origin

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// Config says what to start.
type Config struct {
	Name    string // in every answer; needed
	Address string // HOST:PORT on a loopback address; empty: a host of its own and any port
	Plain   bool   // answer with the name alone instead of an echo: for load
	Keep    int    // how many requests to keep whole; 0 means 1,024, negative none
	Stamps  int    // how many requests to keep the time and service of; 0 means 1,048,576 (16 MB when full)
}

// Origin is a running origin. Its methods may be called from several goroutines.
type Origin struct {
	log
	name  string
	plain bool
	port  *loopback.Port
	grpc  *grpc.Server
	h2    *server2

	inFlight atomic.Int64
	answered atomic.Uint64
	leaving  atomic.Bool // clients are asked to leave
	shutting atomic.Bool // nothing is accepted any more; set under mu
	dice     dice
	gate     gate
	ending   chan struct{}  // closed by Close
	serving  sync.WaitGroup // accept loops and connections

	mu    sync.Mutex
	state State
	door  door // what listens, or stands in for it
	conns conns
	ended bool
}

// Start starts an origin, which serves until [Origin.Close].
func Start(c Config) (*Origin, error) {
	if c.Name == "" {
		return nil, errors.New("an origin needs a name")
	}
	if c.Address == "" {
		c.Address = net.JoinHostPort(loopback.Host(), "0")
	}
	port, err := loopback.ReserveAt(c.Address)
	if err != nil {
		return nil, fmt.Errorf("origin %s: %w", c.Name, err)
	}
	o := &Origin{
		log: newLog(c.Keep, c.Stamps), name: c.Name, plain: c.Plain, port: port,
		conns:  conns{},
		ending: make(chan struct{}),
	}
	o.grpc = newGRPC(c.Name)
	o.h2 = newServer2(port.TCPAddr(), o.serve2)
	if o.door, err = o.openDoor(Serving); err != nil {
		o.h2.stop()
		port.Release()
		return nil, fmt.Errorf("origin %s: %w", c.Name, err)
	}
	return o, nil
}

// Name is the origin's name.
func (o *Origin) Name() string { return o.name }

// Addr is the address, HOST:PORT; it stays the origin's own while it refuses connections.
func (o *Origin) Addr() string { return o.port.Addr() }

// Host is the address without the port.
func (o *Origin) Host() string { return o.port.Host() }

// Port is the address's port.
func (o *Origin) Port() int { return o.port.Number() }

// InFlight is the number of requests that have arrived and are not answered to their end, open WebSockets and streams included.
func (o *Origin) InFlight() int { return int(o.inFlight.Load()) }

// Answered is the number of requests that were answered to their end, as far as the origin can see: given to the kernel. Of the requests
// that arrived ([Origin.Total]) the others are in flight, or were cut off.
func (o *Origin) Answered() uint64 { return o.answered.Load() }

// Connections is the number of open connections.
func (o *Origin) Connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

// Close closes the listener and every connection, and returns when none is served any more. The log stays readable.
func (o *Origin) Close() {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return
	}
	o.ended = true
	close(o.ending)
	o.door.close()
	o.cut()
	o.mu.Unlock()
	o.gate.open()
	o.h2.stop()
	o.serving.Wait()
	o.grpc.Stop()
	o.port.Release()
}

// cut closes every connection. The caller holds mu.
func (o *Origin) cut() {
	for c := range o.conns {
		_ = c.Close()
	}
}
