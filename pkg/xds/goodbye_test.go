package xds_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/goodbye"
)

// goodbye says that a proxy has ended.
func (f *fixture) goodbye(id string) {
	f.t.Helper()
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if err := goodbye.Say(context.Background(), conn, "default", id); err != nil {
		f.t.Fatal(err)
	}
}

// TestAProxyThatLeavesIsNotLost: whether it is said before its stream has ended, or after. One that comes back is there, and lost when it ends without a word.
func TestAProxyThatLeavesIsNotLost(t *testing.T) {
	var mu sync.Mutex
	var left []string
	f := deltaFixtureWith(t, xds.Options{OnLeave: func(fleet, proxy string) {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, fleet+"/"+proxy)
	}})
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	has := func(state xds.ProxyState, ids ...string) {
		t.Helper()
		f.await(string(state), func() bool {
			var got []string
			for _, p := range f.fleet.Proxies() {
				if p.State == state {
					got = append(got, p.Proxy)
				}
			}
			return slices.Equal(got, ids)
		})
	}
	a, b := f.simulate("a", nil), f.simulate("b", nil)
	f.simulate("c", nil)
	has(xds.StateOK, "a", "b", "c")
	a.end()
	has(xds.StateLost, "a")
	f.goodbye("a")
	has(xds.StateLost)
	f.goodbye("b")
	has(xds.StateOK, "b", "c") // it is still there
	b.end()
	has(xds.StateOK, "c")
	has(xds.StateLost)
	f.goodbye("nobody")
	mu.Lock()
	if want := []string{"default/a", "default/b"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
	mu.Unlock()

	back := f.simulate("b", nil)
	has(xds.StateOK, "b", "c")
	f.goodbye("b")
	again := f.simulate("b", nil) // before its old stream ends
	f.await("both streams", func() bool {
		return slices.ContainsFunc(f.fleet.Proxies(), func(p xds.ProxyStatus) bool { return p.State == xds.StateDuplicate })
	})
	back.end()
	has(xds.StateOK, "b", "c")
	again.end()
	has(xds.StateLost, "b")
}

// TestGoodbyeIsAdmitted: nobody forgets the proxies of others.
func TestGoodbyeIsAdmitted(t *testing.T) {
	refused := errors.New("no proxy of this fleet")
	f := deltaFixtureWith(t, xds.Options{Admit: func(_ context.Context, _, proxy string) error {
		if proxy == "a" {
			return nil
		}
		return refused
	}})
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	a := f.simulate("a", nil)
	a.holds(nil, "orders")
	a.end()
	f.await("lost", func() bool { return slices.Equal(f.fleet.Lost(), []string{"a"}) })
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := goodbye.Say(t.Context(), conn, "default", "b"); err == nil {
		t.Error("who is not of the fleet was let in")
	}
	if got := f.fleet.Lost(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("lost: %v", got)
	}
}
