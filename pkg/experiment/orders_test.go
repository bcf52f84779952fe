package experiment

import (
	"errors"
	"fmt"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestEachIdentityIsOneInstances: orders say which part of them an instance asks for; that of one that may still be asking is left to it.
func TestEachIdentityIsOneInstances(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(nil)
	is := func(c *comparator, instances, index int32) {
		t.Helper()
		w.await(func() error {
			o, err := c.last()
			if len(o.GetRuns()) != 1 {
				return fmt.Errorf("orders %v, %w", o, err)
			}
			if got := o.GetRuns()[0]; got.GetInstances() != instances || got.GetIndex() != index {
				return fmt.Errorf("%s is %d of %d; want %d of %d", c.name, got.GetIndex(), got.GetInstances(), index, instances)
			}
			return nil
		})
	}
	b := w.connect("b", nil)
	is(b, 1, 0)
	a, c := w.connect("a", nil), w.connect("c", nil)
	is(a, 3, 0)
	is(b, 3, 1)
	is(c, 3, 2)
	a.goes(true)
	is(b, 2, 0)
	is(c, 2, 1)
	b.goes(false)
	is(c, 2, 1)
	w.pass(time.Minute)
	is(c, 1, 0)
}

// TestProxiesAreLookedUpWhileSomebodyIsAsked: of hundreds of proxies, that is work. An experiment that begins waits for no tick.
func TestProxiesAreLookedUpWhileSomebodyIsAsked(t *testing.T) {
	asked := 0
	w := newWorld(t, "", func(c *Config) {
		c.Proxies = func() map[string]string { asked++; return map[string]string{"p": "127.0.0.1:1"} }
	})
	w.desk.Set(nil)
	w.pass(3 * time.Second)
	if asked != 0 {
		t.Errorf("asked %d times without an experiment", asked)
	}
	w.desk.Set([]Mirror{mirrorOf(t, document(nil))})
	select {
	case <-w.desk.begins:
	default:
		t.Error("no tick is due")
	}
	c := w.connect("one", nil)
	w.pass(time.Second)
	w.await(func() error {
		if o, _ := c.last(); o.GetProxies().GetAddresses()["p"] == "" {
			return errors.New("no address")
		}
		return nil
	})
	w.desk.Set([]Mirror{mirrorOf(t, document(func(m *crossfadev1.Mirror) { m.Name = "new" }))})
}
