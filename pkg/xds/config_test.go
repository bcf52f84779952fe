package xds

import (
	"fmt"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestListenersOfProxiesThatAreGoneAreForgotten: an address that differs at each start of a proxy must not cost memory and time for ever.
func TestListenersOfProxiesThatAreGoneAreForgotten(t *testing.T) {
	build := func() *translate.Structure {
		return translate.Build(&policy.Fleet{Name: "f"}, nil, translate.Options{})
	}
	at := func(i int) places { return places{"0.0.0.0", fmt.Sprintf("127.0.0.1:%d", 10_000+i)} }
	s := newStructure(build(), nil)
	for i := range maxPlaces * 5 / 2 {
		s.listenersAt(at(i))
	}
	if n := len(s.listeners); n > maxPlaces+1 {
		t.Errorf("%d tables in one structure", n)
	}
	next := newStructure(build(), s)
	stays := next.listenersAt(at(1))
	last := newStructure(build(), next)
	if n := len(last.listeners); n != 2 || last.listeners[at(1)] != stays {
		t.Errorf("%d tables after two changes, one of them of a proxy that is there", n)
	}
	if !last.same(next) {
		t.Error("the same structure is another")
	}
}
