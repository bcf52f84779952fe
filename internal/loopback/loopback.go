// Package loopback gives tests, the demo and the benchmarks addresses that nobody else uses: Linux answers on all of 127.0.0.0/8,
// so that every task, pod and proxy can have a host of its own.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	mu    sync.Mutex
	given = map[netip.Addr]bool{}
)

// Host returns an address of 127.0.0.0/8 that this process has not returned before; that another process has it is unlikely (1 in
// 16 million for each pair). Bind port 0 on it, or [Reserve] a port.
func Host() string {
	mu.Lock()
	defer mu.Unlock()
	for {
		n := rand.Uint32()
		addr := netip.AddrFrom4([4]byte{127, 1 + byte(n>>16)%254, byte(n >> 8), 1 + byte(n)%254})
		if !given[addr] {
			given[addr] = true
			return addr.String()
		}
	}
}

// Check returns an error unless address is HOST:PORT with a literal loopback address.
func Check(address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is not ADDRESS:PORT: %w", address, err)
	}
	if !addr.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%q is not a loopback address: traffic stays on this machine", address)
	}
	return nil
}

// Port is a TCP port that is taken, without anybody listening: connections to it are refused, and no other socket gets it by chance,
// until someone binds it with SO_REUSEPORT, as Envoy's listeners and [Port.Listen] do.
type Port struct {
	addr netip.AddrPort
	fd   int
	once sync.Once
}

// Reserve takes a free port of host. A program that binds without SO_REUSEPORT (a Go server) needs [Port.Release] first; give such
// a one port 0 where it can be.
func Reserve(host string) (*Port, error) {
	return ReserveAt(net.JoinHostPort(host, "0"))
}

// ReserveAt takes the port of an address; port 0 is any free one. A port that is in use, reserved or not, is an error.
func ReserveAt(address string) (*Port, error) {
	if err := Check(address); err != nil {
		return nil, err
	}
	want := netip.MustParseAddrPort(address)
	if !want.Addr().Is4() {
		return nil, fmt.Errorf("%q: only IPv4 loopback addresses are supported", address)
	}
	if want.Port() != 0 {
		if err := probe(want); err != nil {
			return nil, fmt.Errorf("reserving %s: %w", address, err)
		}
	}
	p, err := bind(want, 1)
	if err != nil {
		return nil, fmt.Errorf("reserving %s: %w", address, err)
	}
	return p, nil
}

// probe binds an address without SO_REUSEPORT and gives it up, so that a port that somebody else shares is not taken for a free one. No program
// is started meanwhile: until it runs it would have the socket too, and keep the port.
func probe(want netip.AddrPort) error {
	forked()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p, err := bind(want, 0)
	if err != nil {
		return err
	}
	p.Release()
	return nil
}

// forked has package os do now what it does once, when the first process is looked for or started: it forks, to see whether the kernel has
// process descriptors, and does not take the ForkLock for that (os.checkPidfd, Go 1.26).
var forked = sync.OnceFunc(func() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Release()
	}
})

// bind binds a socket; if reuse is 1, others may bind the same address with SO_REUSEPORT.
func bind(want netip.AddrPort, reuse int) (*Port, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	got, err := bindTo(fd, want, reuse)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	return &Port{addr: got, fd: fd}, nil
}

// bindTo binds fd and returns the address it got.
func bindTo(fd int, want netip.AddrPort, reuse int) (netip.AddrPort, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, reuse); err != nil {
		return netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(want.Port()), Addr: want.Addr().As4()}); err != nil {
		return netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("bound to a %T", name)
	}
	return netip.AddrPortFrom(want.Addr(), uint16(in4.Port)), nil
}

// Addr is the address as HOST:PORT.
func (p *Port) Addr() string { return p.addr.String() }

// Host is the address without the port.
func (p *Port) Host() string { return p.addr.Addr().String() }

// TCPAddr is the address as package net has it.
func (p *Port) TCPAddr() *net.TCPAddr { return net.TCPAddrFromAddrPort(p.addr) }

// Number is the port's number.
func (p *Port) Number() int { return int(p.addr.Port()) }

// Listen listens on the reserved port, which stays reserved when the listener is closed.
func (p *Port) Listen() (net.Listener, error) {
	config := net.ListenConfig{Control: reusePort}
	return config.Listen(context.Background(), "tcp4", p.Addr())
}

// Release gives the port up. It may be called more than once.
func (p *Port) Release() {
	p.once.Do(func() { _ = unix.Close(p.fd) })
}

func reusePort(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, set)
}
