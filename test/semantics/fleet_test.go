package semantics

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// fleet is a fleet with one real Envoy, which listens on an address of its own.
type fleet struct {
	*world
	name   string
	inline bool // its bootstrap lacks a runtime layer, so that weights travel in the routes
	host   string
	ports  []int
	fleet  *xds.Fleet
	envoy  *envoytest.Envoy

	revision int64
	settings *policy.Fleet
	services []*policy.Service
	origins  *origins        // of random services
	shared   *http.Transport // of clients without an address of their own
}

// fleet starts a fleet with so many ports to listen on.
func (w *world) fleet(name string, ports int, inline bool) *fleet {
	w.t.Helper()
	f := &fleet{world: w, name: name, inline: inline, host: loopback.Host(), fleet: w.server.Fleet(name)}
	for range ports {
		p := w.reserve(f.host)
		f.ports = append(f.ports, p.Number())
	}
	ready := w.reserve(f.host)
	ready.Release()
	var b bytes.Buffer
	if err := envoy.Render(&b, envoy.Bootstrap{
		Fleet: name, NodeID: "proxy-of-" + name, ListenAddress: f.host, XDSAddress: w.address, ReadyAddress: ready.Addr(), AdminAddress: "127.0.0.1:0",
	}); err != nil {
		w.t.Fatal(err)
	}
	boot := b.String()
	if inline {
		boot = withoutLayer(boot, translate.BaseLayer(7))
	}
	f.envoy = envoytest.Start(w.t, envoytest.Config{Version: w.version, Bootstrap: []byte(boot)})
	return f
}

func (w *world) reserve(host string) *loopback.Port {
	w.t.Helper()
	p, err := loopback.Reserve(host)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Release)
	return p
}

// withoutLayer removes the line of a runtime layer from a bootstrap.
func withoutLayer(boot, layer string) string {
	var kept strings.Builder
	for line := range strings.Lines(boot) {
		if !strings.Contains(line, "name: "+layer+",") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// publish makes the fleet serve these and nothing else, and returns when its Envoy does.
func (f *fleet) publish(settings *policy.Fleet, services []*policy.Service) {
	f.t.Helper()
	u := xds.Update{Levers: map[string][]translate.Lever{}, Named: true}
	for _, s := range f.services {
		u.Levers[s.Name] = nil // unless it is still there
	}
	for _, s := range services {
		u.Levers[s.Name] = translate.Levers(s.In(f.name))
		for _, o := range s.Origins {
			u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	f.settings, f.services = settings, services
	u.Structure = translate.Build(settings, services, translate.Options{})
	u.Inline = func() *translate.Structure {
		return translate.Build(settings, services, translate.Options{InlineWeights: true})
	}
	f.send(u)
	f.settle(u.Structure)
}

// flip changes levers only: weights and switches of pins.
func (f *fleet) flip(s *policy.Service) {
	f.t.Helper()
	for i := range f.services {
		if f.services[i].Name == s.Name {
			f.services[i] = s
		}
	}
	f.send(xds.Update{Levers: map[string][]translate.Lever{s.Name: translate.Levers(s.In(f.name))}})
	f.barrier()
}

// send publishes an update and waits for the acknowledgement.
func (f *fleet) send(u xds.Update) {
	f.t.Helper()
	f.revision++
	u.Revision = f.revision
	w := f.fleet.Publish(u)
	defer w.Close()
	select {
	case <-w.Done():
	case <-w.Refused():
		f.t.Fatalf("fleet %s: refused: %+v", f.name, w.Refusals())
	case <-time.After(patience):
		f.t.Fatalf("fleet %s: not acknowledged: %+v", f.name, f.fleet.Proxies())
	}
	await(f.t, "the proxy of "+f.name, func(context.Context) error {
		for _, p := range f.fleet.Proxies() {
			if p.Connected && p.AckedRevision == f.revision {
				return nil
			}
		}
		return fmt.Errorf("%+v", f.fleet.Proxies())
	})
}

// barrier returns when the worker uses what the main thread acknowledged. What the main thread hands over was in the worker's queue
// before this request came, so it is done when the next one comes.
func (f *fleet) barrier() {
	f.t.Helper()
	c := newClient(f)
	defer c.close()
	for _, port := range f.usedPorts() {
		await(f.t, "an answer on port "+fmt.Sprint(port), func(context.Context) error {
			_, _, err := c.ask(policy.Request{Port: port, Host: "barrier.invalid", Path: "/", ClientAddress: "127.0.0.1"})
			return err
		})
	}
}

// usedPorts are those that services listen on.
func (f *fleet) usedPorts() []int {
	var out []int
	seen := map[int]bool{}
	for _, s := range f.services {
		if !seen[s.Port] {
			seen[s.Port] = true
			out = append(out, s.Port)
		}
	}
	return out
}
