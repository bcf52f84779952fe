package loopback

import (
	"errors"
	"net"
	"os/exec"
	"syscall"
	"testing"
)

func TestHostIsNewAndLoopback(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		h := Host()
		if seen[h] {
			t.Fatalf("%s twice", h)
		}
		seen[h] = true
		if !net.ParseIP(h).IsLoopback() {
			t.Fatalf("%s is not loopback", h)
		}
	}
}

func TestCheck(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:80": true, "127.200.3.4:0": true, "[::1]:80": true,
		"10.0.0.1:80": false, "localhost:80": false, "0.0.0.0:80": false, "127.0.0.1": false, "": false, "[::]:1": false,
	} {
		if err := Check(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestReserve: nobody listens, nobody else gets the port, the holder can listen again and again, and a release gives it up.
func TestReserve(t *testing.T) {
	p, err := Reserve(Host())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	if _, err := net.Dial("tcp4", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a reserved port: %v", err)
	}
	if l, err := net.Listen("tcp4", p.Addr()); err == nil {
		l.Close()
		t.Error("a stranger got the port")
	}
	for range 3 {
		l, err := p.Listen()
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp4", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	if q, err := ReserveAt(p.Addr()); !errors.Is(err, syscall.EADDRINUSE) {
		q.Release()
		t.Errorf("reserved twice: %v", err)
	}
	p.Release()
	p.Release()
	q, err := ReserveAt(p.Addr())
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	q.Release()
}

func TestReserveRefusesTheWorld(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "10.1.2.3", "::1", "localhost", ""} {
		if p, err := Reserve(host); err == nil {
			p.Release()
			t.Errorf("%q was reserved", host)
		}
	}
}

// TestReserveBesideForks: a program that is being started has, until it runs, copies of this process's sockets, the probe's among them.
func TestReserveBesideForks(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		for range 300 {
			if err := exec.Command("true").Run(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		p, err := ReserveAt(net.JoinHostPort(Host(), "8080"))
		if err != nil {
			t.Fatalf("reservation %d: %v", n, err)
		}
		p.Release()
	}
}
