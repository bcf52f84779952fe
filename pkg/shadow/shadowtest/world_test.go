package shadowtest

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestTheSameSeedGivesTheSameWorld(t *testing.T) {
	o := Options{Endpoints: 3, Rate: 0.5, Noise: 0.1, Noisy: 12}
	a, b := New(7, o), New(7, o)
	if !reflect.DeepEqual(a.Planted(), b.Planted()) || !reflect.DeepEqual(a.Noisy(), b.Noisy()) {
		t.Fatal("not the same")
	}
	if len(a.Planted()) != len(Kinds) || len(Kinds) < 12 {
		t.Fatal(len(a.Planted()))
	}
	r, s := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(1, 1))
	for range 100 {
		q := a.Ask(r)
		if p := b.Ask(s); p != q {
			t.Fatal(p, q)
		}
		if x, y := a.Answer(r, q, true), b.Answer(s, q, true); !reflect.DeepEqual(x, y) {
			t.Fatal(x, y)
		}
	}
}
