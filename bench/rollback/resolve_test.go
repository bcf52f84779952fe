package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/crossfade-proxy/crossfade/internal/dnstest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

func TestResolveTellsTheTTL(t *testing.T) {
	s := dnstest.Start(t)
	n := nameOf(s.Addr.String(), "a.test")
	addr := netip.MustParseAddr("127.0.0.7")
	for _, ttl := range []time.Duration{time.Minute, 2 * time.Second} {
		s.Set("a.test", dnstest.Addresses(ttl, addr))
		if at, got, err := n.resolve(t.Context()); at != addr || got != ttl || err != nil {
			t.Errorf("%v for %v, %v", at, got, err)
		}
	}
	for _, bad := range []dnstest.Answer{dnstest.NotFound, dnstest.Addresses(0, addr)} {
		s.Set("a.test", bad)
		if at, _, err := n.resolve(t.Context()); err == nil {
			t.Errorf("%v is taken as %v", bad, at)
		}
	}
}

func TestTheShortestTTLCounts(t *testing.T) {
	name := dnsmessage.MustNewName("a.test.")
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	for _, ttl := range []uint32{60, 5, 30} {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 7}},
		})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := shortest(b); got != 5*time.Second || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for n := range b {
		if got, err := shortest(b[:n]); err == nil {
			t.Errorf("of %d bytes, the TTL is %v", n, got)
		}
	}
}

// TestAFollowerMovesOnceItAsksAgain: it keeps what it has until then, loses no request, and forgets the old address.
func TestAFollowerMovesOnceItAsksAgain(t *testing.T) {
	start := func(name, address string) *origin.Origin {
		o, err := origin.Start(origin.Config{Name: name, Address: address, Plain: true, Keep: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		return o
	}
	one := start("one", "")
	addr := netip.MustParseAddr(one.Host())
	two := start("two", net.JoinHostPort(addr.Next().String(), strconv.Itoa(one.Port())))
	s := dnstest.Start(t)
	s.Set("a.test", dnstest.Addresses(time.Second, addr))
	f, err := follow(s.Addr.String(), net.JoinHostPort("a.test", strconv.Itoa(one.Port())), 0.5, loadgen.Config{Rate: 200, Duration: time.Minute, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.AwaitTotal(t.Context(), 1); err != nil {
		t.Error(err)
	}
	s.Set("a.test", dnstest.Addresses(time.Second, addr.Next()))
	if err := two.AwaitTotal(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if q := s.Asked("a.test"); len(q) < 2 || q[1].At.Sub(q[0].At) < time.Second/2 {
		t.Errorf("it asked %v, and half of the TTL was left", q)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
	sum := Sum{Failures: map[string]uint64{}}
	sum.add(f.runs)
	if len(f.runs) != 2 || sum.Failed > 0 || sum.Done != one.Total()+two.Total() || sum.Offered != 200 {
		t.Errorf("%d runs, %+v; the origins have %d and %d", len(f.runs), sum, one.Total(), two.Total())
	}
}

func TestPauses(t *testing.T) {
	l := &lab{rnd: rand.New(rand.NewPCG(1, 1))}
	for _, c := range []struct {
		s           system
		least, most time.Duration
	}{{&haproxies{}, 0, 50 * time.Millisecond}, {&names{ttl: 5 * time.Second}, 0, 5 * time.Second}, {&traefiks{}, throttle, throttle + time.Second}} {
		low, high := c.most, c.least
		for range 1000 {
			d := l.pause(c.s)
			low, high = min(low, d), max(high, d)
		}
		if part := (c.most - c.least) / 20; low < c.least || low > c.least+part || high >= c.most || high < c.most-part {
			t.Errorf("%T: %v to %v", c.s, low, high)
		}
	}
}
