package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// follower is one client that has a name instead of a proxy: it keeps the address for the TTL of the answer, asks again, and goes on with
// new connections if it is another one then.
type follower struct {
	name   *name
	port   string
	config loadgen.Config // all but the target
	at     netip.Addr
	ttl    time.Duration // of the last answer
	runs   []*loadgen.Run
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error
}

// follow starts a client of target, HOST:PORT. Of its first answer's TTL only a share is left, as if somebody else had asked before.
func follow(resolver, target string, left float64, c loadgen.Config) (*follower, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{name: nameOf(resolver, host), port: port, config: c, cancel: cancel}
	if err := f.ask(ctx); err != nil {
		cancel()
		return nil, err
	}
	first := time.Duration(left * float64(f.ttl))
	f.done.Go(func() { f.err = f.run(ctx, first) })
	return f, nil
}

func (f *follower) run(ctx context.Context, hold time.Duration) error {
	for poll.Pause(ctx, hold) == nil {
		if err := f.ask(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		hold = f.ttl
	}
	return nil
}

// ask resolves the name, and moves to its address.
func (f *follower) ask(ctx context.Context) error {
	at, ttl, err := f.name.resolve(ctx)
	if err != nil {
		return err
	}
	f.ttl = ttl
	if at == f.at {
		return nil
	}
	c := f.config
	c.Target = net.JoinHostPort(at.String(), f.port)
	run, err := loadgen.Start(context.Background(), c)
	if err != nil {
		return err
	}
	if len(f.runs) > 0 {
		f.runs[len(f.runs)-1].Stop()
	}
	f.at, f.runs = at, append(f.runs, run)
	return nil
}

// stop ends the asking and the sending.
func (f *follower) stop() error {
	f.cancel()
	f.done.Wait()
	for _, r := range f.runs {
		r.Stop()
	}
	return f.err
}

// name is one that a DNS server is asked for.
type name struct {
	host     string
	resolver net.Resolver
	ttl      atomic.Int64 // the shortest of the last answer
}

func nameOf(server, host string) *name {
	n := &name{host: host + "."}
	n.resolver = net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		c, err := new(net.Dialer).Dial("udp", server)
		if err != nil {
			return nil, err
		}
		return ttlConn{c.(*net.UDPConn), &n.ttl}, nil
	}}
	return n
}

// resolve returns the address, and for how long it holds.
func (n *name) resolve(ctx context.Context) (netip.Addr, time.Duration, error) {
	n.ttl.Store(0)
	all, err := n.resolver.LookupNetIP(ctx, "ip4", n.host)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	ttl := time.Duration(n.ttl.Load())
	if ttl == 0 {
		return netip.Addr{}, 0, fmt.Errorf("%s: an answer without a TTL", n.host)
	}
	return all[0].Unmap(), ttl, nil
}

// ttlConn notes the TTL of the answers that it carries, which [net.Resolver] does not tell.
type ttlConn struct {
	*net.UDPConn // whole: by its kind the resolver knows how messages are framed
	ttl          *atomic.Int64
}

// Read reads a message.
func (c ttlConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if ttl, bad := shortest(b[:n]); bad == nil {
		c.ttl.Store(int64(ttl))
	}
	return n, err
}

// shortest is the shortest TTL of the records that a message answers with.
func shortest(message []byte) (time.Duration, error) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil {
		return 0, err
	}
	if err := p.SkipAllQuestions(); err != nil {
		return 0, err
	}
	ttl := time.Duration(-1)
	for {
		h, err := p.AnswerHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone) && ttl >= 0:
			return ttl, nil
		case err != nil:
			return 0, err
		}
		if one := time.Duration(h.TTL) * time.Second; ttl < 0 || one < ttl {
			ttl = one
		}
		if err := p.SkipAnswer(); err != nil {
			return 0, err
		}
	}
}
