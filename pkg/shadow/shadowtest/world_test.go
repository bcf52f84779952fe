package shadowtest

import (
	"bytes"
	"encoding/json"
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

// TestWhatNobodyCanReadIsTheSame: of two origins that differ in nothing, bodies that are broken on both sides have the same bytes. They are
// compared as text, where another order of members is a difference.
func TestWhatNobodyCanReadIsTheSame(t *testing.T) {
	w := New(1005, Options{Endpoints: 4, Noise: 0.1, Noisy: 60})
	r := rand.New(rand.NewPCG(1005, 77))
	both := 0
	for range 200_000 {
		q := w.Ask(r)
		if q.Path[:4] != "/v1/" {
			continue
		}
		a, b := w.Answer(r, q, false), w.Answer(r, q, true)
		if len(a.Body) == 0 || len(b.Body) == 0 || json.Valid(a.Body) || json.Valid(b.Body) {
			continue
		}
		if both++; !bytes.Equal(a.Body, b.Body) {
			t.Fatalf("%s: %s and %s", q.Path, a.Body, b.Body)
		}
	}
	if both == 0 {
		t.Error("never both: what does this test test?")
	}
}
