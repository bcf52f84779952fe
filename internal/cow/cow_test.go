package cow

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestModel does random things to a map and to one of the language's, and holds snapshots of both against each other at the end.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	type pair struct {
		m     Map[string, int]
		model map[string]int
	}
	now := pair{model: map[string]int{}}
	var snapshots []pair
	for step := range 5000 {
		key := fmt.Sprint(r.IntN(500))
		switch r.IntN(4) {
		case 0:
			now.m.Delete(key)
			delete(now.model, key)
		case 1:
			if r.IntN(20) == 0 {
				snapshots = append(snapshots, pair{now.m, maps.Clone(now.model)})
			}
		default:
			now.m.Set(key, step)
			now.model[key] = step
		}
	}
	for i, s := range append(snapshots, now) {
		if got := maps.Collect(s.m.All()); !maps.Equal(got, s.model) || s.m.Len() != len(s.model) {
			t.Fatalf("snapshot %d: %v, %d; want %v", i, got, s.m.Len(), s.model)
		}
		if keys := slices.Sorted(s.m.Keys()); !slices.Equal(keys, slices.Sorted(maps.Keys(s.model))) {
			t.Fatalf("snapshot %d has keys %v", i, keys)
		}
		for n := range 500 {
			key := fmt.Sprint(n)
			want, ok := s.model[key]
			if got, has := s.m.Get(key); got != want || has != ok || s.m.At(key) != want {
				t.Fatalf("snapshot %d at %s: %d %v, want %d %v", i, key, got, has, want, ok)
			}
		}
	}
}

func TestEmpty(t *testing.T) {
	var m Map[string, *int]
	m.Delete("a")
	if v, ok := m.Get("a"); ok || v != nil || m.At("a") != nil || m.Len() != 0 || len(maps.Collect(m.All())) > 0 {
		t.Error("an empty map has something")
	}
	m.Set("a", new(int))
	for range m.All() {
		break // must be possible
	}
	for range m.Keys() {
		break
	}
}

// BenchmarkSnapshotAndSet is what a change does.
func BenchmarkSnapshotAndSet(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var m Map[string, int]
			for i := range n {
				m.Set(fmt.Sprintf("service-%04d", i), i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				snapshot := m
				m.Set("service-0001", i)
				if snapshot.At("service-0001") == i && i > 1 {
					b.Fatal("the snapshot changed")
				}
			}
		})
	}
}
