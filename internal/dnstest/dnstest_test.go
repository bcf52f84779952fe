package dnstest_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/dnstest"
)

// resolver asks the server and nobody else.
func resolver(s *dnstest.Server, network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Addr.String())
	}}
}

func TestAnswers(t *testing.T) {
	s := dnstest.Start(t)
	v4, v6 := netip.MustParseAddr("127.0.0.7"), netip.MustParseAddr("::7")
	s.Set("Both.test.", dnstest.Addresses(time.Minute, v4, v6))
	for _, network := range []string{"udp", "tcp"} {
		r := resolver(s, network)
		got, err := r.LookupNetIP(t.Context(), "ip", "both.TEST.")
		slices.SortFunc(got, netip.Addr.Compare)
		if err != nil || !slices.Equal(got, []netip.Addr{v4, v6}) {
			t.Errorf("%s: %v, %v", network, got, err)
		}
		if _, err := r.LookupNetIP(t.Context(), "ip", "nobody.test."); !notFound(err) {
			t.Errorf("%s, a name that was not set: %v", network, err)
		}
	}
	if q := s.Asked("both.test"); len(q) != 4 || q[0].Network != "udp" || q[3].Network != "tcp" {
		t.Errorf("asked %v", q)
	}
}

func TestFailures(t *testing.T) {
	s := dnstest.Start(t)
	r := resolver(s, "udp")
	for name, a := range map[string]dnstest.Answer{"missing.test": dnstest.NotFound, "empty.test": dnstest.Empty} {
		s.Set(name, a)
		if _, err := r.LookupNetIP(t.Context(), "ip4", name+"."); !notFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Set("broken.test", dnstest.Failure)
	if _, err := r.LookupNetIP(t.Context(), "ip4", "broken.test."); err == nil || notFound(err) {
		t.Errorf("a failure reads as %v", err)
	}
	s.Set("silent.test", dnstest.Silence)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.LookupNetIP(ctx, "ip4", "silent.test."); err == nil {
		t.Error("silence is answered")
	}
	s.AwaitAsked("silent.test", 1)
}

func TestDownAndUp(t *testing.T) {
	s := dnstest.Start(t)
	s.Set("a.test", dnstest.Addresses(time.Second, netip.MustParseAddr("127.0.0.7")))
	at := s.Addr
	s.Down()
	if _, err := resolver(s, "tcp").LookupNetIP(t.Context(), "ip4", "a.test."); err == nil {
		t.Error("it answers while it is down")
	}
	s.Up()
	if _, err := resolver(s, "tcp").LookupNetIP(t.Context(), "ip4", "a.test."); err != nil || s.Addr != at {
		t.Errorf("back at %v, before at %v: %v", s.Addr, at, err)
	}
}

func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}
