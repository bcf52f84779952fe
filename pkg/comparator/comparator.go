package comparator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
)

// Config is what a comparator works with. Listener and Server are needed.
type Config struct {
	// Listener is where copies come. Run closes it.
	Listener net.Listener
	// Advertise is where proxies reach the listener, "IP:PORT". Default: its own address.
	Advertise string
	// Server is a connection to the server's API.
	Server grpc.ClientConnInterface
	// Secure makes what is between proxies and the comparator TLS; nil: clear text.
	Secure  Secure
	Log     *slog.Logger
	Version string
	Limits  Limits
}

// Secure speaks TLS with proxies, both sides verified.
type Secure interface {
	Listener(net.Listener) net.Listener
	// Client makes a new connection one to a proxy.
	Client(ctx context.Context, raw net.Conn) (net.Conn, error)
	// Refused gets what the HTTP server says of handshakes.
	Refused() slog.Handler
}

// Run takes copies and works for the server until ctx ends. What is in flight then is finished or counted as dropped, and the server is told
// that this is all, within [Limits.Grace]. The error is that of a listener that fails.
func Run(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Advertise == "" {
		c.Advertise = c.Listener.Addr().String()
	}
	k := newComparator(c)
	asking, stopAsking := context.WithCancel(context.WithoutCancel(ctx))
	linked, unlink := context.WithCancel(context.WithoutCancel(ctx))
	k.asking = asking
	l := newLink(k, c)
	server := k.server()
	failed := make(chan error, 1)
	var running sync.WaitGroup
	incoming := newGuarded(c.Listener, k.limits.Connections)
	if c.Secure != nil {
		incoming = c.Secure.Listener(incoming)
		server.ErrorLog = slog.NewLogLogger(c.Secure.Refused(), slog.LevelError)
	}
	running.Go(func() { failed <- server.Serve(incoming) })
	running.Go(func() { l.run(linked) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	k.end(server, stopAsking, l, unlink)
	running.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("take copies at %s: %w", c.Listener.Addr(), err)
	}
	return nil
}

// comparator holds what there is one of in the process.
type comparator struct {
	log       *slog.Logger
	limits    Limits
	budget    *budget
	transport *transport
	asking    context.Context // ends when nobody is to be asked any more
	judging   chan struct{}   // a place for each that compares at a time
	said      rate.Sometimes  // of proxies that cannot be asked
	copies    sync.WaitGroup  // that are read and not counted; added to under mu, and not any more when ending

	mu        sync.RWMutex
	ending    bool
	leaseEnds time.Time
	runs      map[string]*run   // by [runKey]
	early     map[string]uint64 // copies of runs that no order was for yet
	refused   map[string]bool   // runs that cannot be worked on
	proxies   map[string]string // "IP:PORT" by node.id
}

func newComparator(c Config) *comparator {
	limits := c.Limits.withDefaults()
	return &comparator{
		log: c.Log, limits: limits, budget: &budget{most: limits.Budget}, transport: newTransport(limits, c.Log, c.Secure), judging: make(chan struct{}, runtime.GOMAXPROCS(0)),
		said: rate.Sometimes{First: 3, Interval: 10 * time.Second},
		runs: map[string]*run{}, early: map[string]uint64{}, refused: map[string]bool{}, proxies: map[string]string{},
	}
}

// leased says whether somebody says what to do.
func (k *comparator) leased(now time.Time) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return !k.ending && now.Before(k.leaseEnds)
}

// begin takes note of a copy that is going to be read. Near the end none is.
func (k *comparator) begin() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if !k.ending {
		k.copies.Add(1)
	}
	return !k.ending
}

// end finishes what is in flight, says goodbye, and ends all that runs, in this order.
func (k *comparator) end(server *http.Server, stopAsking context.CancelFunc, l *link, unlink context.CancelFunc) {
	grace, done := context.WithTimeout(context.Background(), k.limits.Grace)
	defer done()
	part, finish := context.WithTimeout(grace, k.limits.Grace/2)
	defer finish()
	rest, leave := context.WithTimeout(grace, k.limits.Grace*3/4)
	defer leave()
	k.mu.Lock()
	k.ending = true
	k.mu.Unlock()
	if server.Shutdown(part) != nil {
		_ = server.Close()
	}
	finished := make(chan struct{})
	go func() {
		k.copies.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-part.Done():
	}
	stopAsking()
	select {
	case <-finished:
	case <-rest.Done(): // the goodbye needs time, too
	}
	l.goodbye(grace)
	unlink()
	k.transport.close()
}
