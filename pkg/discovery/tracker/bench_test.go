package tracker

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

func endpoint(i int) discovery.Endpoint {
	return discovery.Endpoint{
		Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 8080),
		Zone:    "eu-central-1" + string(rune('a'+i%3)), Health: "ready", State: discovery.Ready,
	}
}

// hand returns a tracker, and for each of its origins what tells it a look.
func hand(b *testing.B, c Config, origins int) (*Tracker, []func(discovery.Look)) {
	tr := New(c)
	b.Cleanup(func() {
		if err := tr.Close(); err != nil {
			b.Error(err)
		}
	})
	out := make([]func(discovery.Look), origins)
	for i := range out {
		tells := make(chan func(discovery.Look))
		tr.Follow(Key{fmt.Sprintf("service-%d", i), "eks"}, "s", func(ctx context.Context, tell func(discovery.Look)) error {
			tells <- tell
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		out[i] = <-tells
	}
	return tr, out
}

// BenchmarkLook is one look at an origin of 10,000 endpoints.
func BenchmarkLook(b *testing.B) {
	for name, change := range map[string]func(i int, all []discovery.Endpoint) []discovery.Endpoint{
		"the same": func(_ int, all []discovery.Endpoint) []discovery.Endpoint { return all },
		"one drains": func(i int, all []discovery.Endpoint) []discovery.Endpoint {
			all = slices.Clone(all)
			all[i%len(all)].State = discovery.Draining
			return all
		},
		"half is held": func(_ int, all []discovery.Endpoint) []discovery.Endpoint { return all[:len(all)/2] },
		"out of order": func(i int, all []discovery.Endpoint) []discovery.Endpoint {
			return append(all[i%9000:len(all):len(all)], all[:i%9000]...)
		},
		"an error": func(int, []discovery.Endpoint) []discovery.Endpoint { return nil },
	} {
		b.Run(name, func(b *testing.B) {
			_, tell := hand(b, Config{Changed: func([]Key) {}, StatusChanged: func(Key) {}}, 1)
			all, at := many(10_000), time.Now()
			tell[0](discovery.Look{At: at, Endpoints: all})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at = at.Add(time.Millisecond)
				l := discovery.Look{At: at, Endpoints: change(i, all)}
				if l.Endpoints == nil {
					l.Err = errDown
				}
				tell[0](l)
			}
		})
	}
}

// BenchmarkFleet is one round of looks, which comes every 5 s, at 400 origins of 20 endpoints, with a file; each round one origin changes.
func BenchmarkFleet(b *testing.B) {
	_, tell := hand(b, Config{File: filepath.Join(b.TempDir(), "f"), Changed: func([]Key) {}, StatusChanged: func(Key) {}}, 400)
	all, at := many(20), time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at = at.Add(5 * time.Second)
		for k, tell := range tell {
			l := discovery.Look{At: at, Endpoints: all}
			if k == i%400 {
				l.Endpoints = all[1:]
			}
			tell(l)
		}
	}
}

// BenchmarkEndpoints is what a publication asks of one origin of 10,000.
func BenchmarkEndpoints(b *testing.B) {
	tr, tell := hand(b, Config{}, 1)
	tell[0](discovery.Look{At: time.Now(), Endpoints: many(10_000)})
	b.ReportAllocs()
	for b.Loop() {
		tr.Endpoints(Key{"service-0", "eks"})
	}
}

// BenchmarkFile is one file: of 400 origins of 20 endpoints, and of 50 of 10,000, of which one has changed.
func BenchmarkFile(b *testing.B) {
	for _, size := range []struct{ origins, endpoints int }{{400, 20}, {50, 10_000}} {
		b.Run(fmt.Sprintf("%d of %d", size.origins, size.endpoints), func(b *testing.B) {
			n := newNote(filepath.Join(b.TempDir(), "f"), nil)
			all := discovery.Seed(many(size.endpoints), time.Now()).Endpoints()
			var states []state
			for i := range size.origins {
				states = append(states, state{head: record{Service: fmt.Sprintf("service-%d", i)}, endpoints: all, owner: new(origin)})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				states[i%len(states)].version++
				if err := n.save(slices.Clone(states)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
