package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/dnstest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// names is a peer without proxies: each client keeps the address of a name for its TTL. A rollback changes the answer of the DNS server.
type names struct {
	lab    *lab
	ttl    time.Duration // whole seconds
	server *dnstest.Server
	harness
}

const sharedName = measured + ".test"

func startNames(l *lab, ttl time.Duration) (n *names, err error) {
	n = &names{lab: l, ttl: ttl}
	defer func() {
		switch said := recover().(type) {
		case nil:
		case fatal:
			n, err = nil, said
		default:
			panic(said)
		}
	}()
	n.server = dnstest.Start(&n.harness)
	return n, nil
}

func (n *names) name() string { return fmt.Sprintf("dns ttl %.0f s", n.ttl.Seconds()) }

func (n *names) note() string {
	return "no proxy: each client asks a DNS server, keeps the address for its TTL and goes on with new connections; a rollback is a new answer of the server"
}

func (n *names) version(context.Context) string { return "" }

func (n *names) targets() (out []string) {
	for range n.lab.hosts {
		out = append(out, net.JoinHostPort(sharedName, strconv.Itoa(n.lab.eks.Port())))
	}
	return out
}

func (n *names) pids() []int { return nil }

func (n *names) away(context.Context) error { return n.point(n.lab.eks) }

func (n *names) back(context.Context, bool) (answer, error) { return answer{}, n.point(n.lab.ecs) }

// rest: when all have heard of the old origin, the last has just asked. A rollback does not wait for that.
func (n *names) rest() (least, most time.Duration) { return 0, n.ttl }

func (n *names) point(to *origin.Origin) error {
	addr, err := netip.ParseAddr(to.Host())
	if err != nil {
		return err
	}
	n.server.Set(sharedName, dnstest.Addresses(n.ttl, addr))
	return nil
}

// harness lets a server that serves tests serve this program.
type harness struct {
	testing.TB // nil; only what is below is called
	cleanups   []func()
}

// fatal is what a failed start panics with.
type fatal string

func (f fatal) Error() string { return string(f) }

// Helper and the like are what package testing says of them.
func (h *harness) Helper() {}

// Cleanup is called by close.
func (h *harness) Cleanup(f func()) { h.cleanups = append(h.cleanups, f) }

// Error prints.
func (h *harness) Error(args ...any) { fmt.Fprintln(os.Stderr, args...) }

// Errorf prints.
func (h *harness) Errorf(format string, args ...any) { h.Error(fmt.Sprintf(format, args...)) }

// Fatal ends the start.
func (h *harness) Fatal(args ...any) { panic(fatal(fmt.Sprint(args...))) }

func (h *harness) close() {
	for _, f := range h.cleanups {
		f()
	}
}
