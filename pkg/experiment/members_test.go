package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestASuccessorHasAllAtOnce: one at the same address shows that the old one is gone.
func TestASuccessorHasAllAtOnce(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	first := w.connect("one-1", nil)
	first.share("try", 100)
	first.goes(false)
	second := w.connect("one-2", nil)
	second.share("try", 100)
	third := w.connect("one-3", nil) // the second is still connected, as far as the desk knows
	third.share("try", 100)
	w.await(func() error {
		if _, err := second.last(); status.Code(err) != codes.Aborted {
			return fmt.Errorf("the stream of the second: %w", err)
		}
		return nil
	})
}

// TestSharesAreNeverMoreThanTheLimit plays instances that come, go, and are slow to take their orders, in random order.
func TestSharesAreNeverMoreThanTheLimit(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	w := newWorld(t, "", nil)
	w.run(nil)
	d, here, n := w.desk, []*session{}, 0
	for range 3000 {
		switch s, k := (*session)(nil), random.IntN(10); {
		case k == 0 && len(here) < 6:
			n++
			s = &session{wake: make(chan struct{}, 1), ended: make(chan struct{})}
			if err := d.greet(s, &crossfadev1.ComparatorHello{Instance: fmt.Sprint("i", n), Address: fmt.Sprintf("127.0.0.1:%d", 1+n%9)}); err != nil {
				t.Fatal(err)
			}
			here = append(here, s)
		case len(here) == 0:
		case k == 1:
			s = here[random.IntN(len(here))]
			w.desk.mu.Lock()
			d.part(s, w.time(), random.IntN(2) == 0)
			w.desk.mu.Unlock()
		case k == 2:
			w.pass(time.Duration(random.IntN(20)) * time.Second)
			for _, s := range here {
				s.heard = w.time()
			}
		case k < 7:
			d.orders(here[random.IntN(len(here))])
		default:
			d.sent(here[random.IntN(len(here))])
		}
		sum := 0.0
		for _, p := range d.runs["try"].parts {
			if p.asks(w.time()) {
				sum += p.held
			}
		}
		if sum > 100+1e-9 {
			t.Fatalf("%g copies per second are allowed in all", sum)
		}
		here = slices.DeleteFunc(here, func(s *session) bool { return d.sessions[s.instance] != s })
	}
	for range 3 {
		for _, s := range here {
			d.orders(s)
			d.sent(s)
		}
	}
	w.pass(2 * time.Minute)
	for _, s := range here {
		s.heard = w.time()
	}
	for range 3 {
		for _, s := range here {
			d.orders(s)
			d.sent(s)
		}
	}
	for _, p := range d.runs["try"].parts {
		if want := 100 / float64(len(here)); p.connected && (p.held < want-1e-9 || p.held > want+1e-9) {
			t.Errorf("%s has %g of %g", p.instance, p.held, want)
		}
	}
}

// TestOneThatIsSilentIsNotAsking: its share goes to others after two leases, and copies no longer go to it.
func TestOneThatIsSilentIsNotAsking(t *testing.T) {
	var told members
	w := newWorld(t, "", func(c *Config) { c.Comparators = told.addresses })
	ctx, cancel := context.WithCancel(t.Context())
	teller := make(chan struct{})
	go func() { defer close(teller); w.desk.tellMembers(ctx) }()
	defer func() { cancel(); <-teller }()
	w.run(nil)
	one, two := w.connect("one", nil), w.connect("two", nil)
	both := []string{address("one"), address("two")}
	slices.SortFunc(both, func(a, b string) int { return netip.MustParseAddrPort(a).Compare(netip.MustParseAddrPort(b)) })
	told.await(t, strings.Join(both, " "))
	two.share("try", 50)
	for range 13 {
		w.pass(10 * time.Second)
		two.tell(nil)
		two.taken()
	}
	w.pass(time.Second)
	told.await(t, address("two"))
	two.share("try", 100)
	one.share("try", 0)
	one.tell(nil)
	one.taken()
	w.pass(time.Second)
	told.await(t, strings.Join(both, " "))
	one.share("try", 50)
	one.goes(true)
	two.goes(true)
	told.await(t, "")
}
