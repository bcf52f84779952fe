package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// deadline is how long anything may take that is waited for.
const deadline = 60 * time.Second

// world is a control plane that is replaced, with a fleet in front of it.
type world struct {
	*stack.Stack
	t        *testing.T
	ecs, eks *origin.Origin
	port     int
	proxies  []*proxy
}

// proxy is an Envoy whose stream goes through a counter.
type proxy struct {
	*envoytest.Envoy
	name    string
	host    string // where it serves
	counter *counter
}

// newWorld starts a control plane of a version.
func newWorld(t *testing.T, v version) *world {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s, err := stack.Start(t.Context(), stack.Config{Binary: v.server, Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the control planes printed last:\n%s", b[max(0, len(b)-8000):])
		}
	})
	w := &world{Stack: s, t: t, port: envoytest.Port(t).Number()}
	w.ecs, w.eks = envoytest.Origin(w.t, "ecs"), envoytest.Origin(w.t, "eks")
	return w
}

// replace ends the control plane as an orchestrator does, and starts another version on its data and its addresses.
func (w *world) replace(v version) {
	w.t.Helper()
	w.end()
	w.Binary = v.server
	if err := w.RestartServer(w.t.Context()); err != nil {
		w.t.Fatalf("%s does not start on the other's data: %v", v.name, err)
	}
}

// end asks the control plane to stop and waits until it is gone.
func (w *world) end() {
	w.t.Helper()
	if err := syscall.Kill(w.Server.PID, syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	w.await("the control plane ends", func(context.Context) error {
		if err := syscall.Kill(w.Server.PID, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.New("it still runs")
		}
		return nil
	})
	w.KillServer() // it is gone; this takes note
}

// addProxy starts an Envoy with the bootstrap that a version makes.
func (w *world) addProxy(v version, envoy string) {
	w.t.Helper()
	name := fmt.Sprintf("proxy-%d", len(w.proxies)+1)
	p := &proxy{name: name, host: loopback.Host(), counter: newCounter(w.t, w.Server.XDS)}
	var at [2]string // of readiness and the admin interface
	for i := range at {
		port, err := loopback.Reserve(p.host)
		if err != nil {
			w.t.Fatal(err)
		}
		port.Release()
		at[i] = port.Addr()
	}
	cmd := exec.CommandContext(w.t.Context(), v.shadowctl, "bootstrap", "--node-id", name, "--listen-address", p.host,
		"--xds", p.counter.ln.Addr().String(), "--ready-address", at[0], "--admin-address", at[1])
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	bootstrap, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("the bootstrap of %s: %v: %s", v.name, err, complaints.String())
	}
	p.Envoy = envoytest.Start(w.t, envoytest.Config{Version: envoy, Bootstrap: bootstrap})
	w.proxies = append(w.proxies, p)
}

// service is a document with both origins.
func (w *world) service(name string, eks int32) *crossfadev1.Document {
	static := func(o *origin.Origin) *crossfadev1.Origin {
		protocol := "http1"
		if name == overHTTP2 && o == w.eks {
			protocol = "http2"
		}
		return &crossfadev1.Origin{Name: o.Name(), Protocol: protocol, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}},
		}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: int32(w.port)}, Origins: []*crossfadev1.Origin{static(w.ecs), static(w.eks)},
		Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}},
	}}}
}

// settled waits until every proxy is connected anew, has said nothing bad, and has all that it should have.
func (w *world) settled() {
	w.t.Helper()
	w.await("the fleet is settled", func(ctx context.Context) error {
		resp, err := w.API.ListProxies(ctx, &crossfadev1.ListProxiesRequest{})
		if err != nil {
			return err
		}
		if len(resp.GetItems()) != len(w.proxies) {
			return fmt.Errorf("%d of %d proxies are known", len(resp.GetItems()), len(w.proxies))
		}
		for _, p := range resp.GetItems() {
			if p.GetLastNack() != nil {
				w.t.Fatalf("%s refused: %v", p.GetProxy(), p.GetLastNack())
			}
			if p.GetState() != "ok" || !p.GetConnected() || p.GetAckedRevision() != p.GetWantedRevision() {
				return fmt.Errorf("%s is not settled: %v", p.GetProxy(), p)
			}
		}
		return nil
	})
}

// await waits for something that processes do in their own time.
func (w *world) await(what string, cond func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), deadline)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, cond); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// quiet waits until no proxy has been sent anything but keep-alives for a second.
func (w *world) quiet() {
	w.t.Helper()
	const few = 600 // bytes a second: answers to statistics and pings
	ctx, cancel := context.WithTimeout(w.t.Context(), deadline)
	defer cancel()
	last := make([]int64, len(w.proxies))
	for {
		loud := ""
		for i, p := range w.proxies {
			now := p.counter.down.Load()
			if now-last[i] >= few {
				loud = p.name
			}
			last[i] = now
		}
		if loud == "" {
			return
		}
		if err := poll.Pause(ctx, time.Second); err != nil {
			w.t.Fatalf("%s is sent more and more: %v", loud, err)
		}
	}
}

// levers are a proxy's live weights and switches.
func (w *world) levers(p *proxy) map[string]string {
	w.t.Helper()
	all, err := p.Runtime(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// folded waits until a proxy's weights have left the layer of recent changes: when that happens is not a version's doing.
func (w *world) folded(p *proxy) {
	w.t.Helper()
	w.await(p.name+" has no recent change", func(ctx context.Context) error {
		text, err := p.Get(ctx, "/runtime")
		if err != nil {
			return err
		}
		var runtime struct {
			Layers  []string `json:"layers"`
			Entries map[string]struct {
				Values []string `json:"layer_values"`
			} `json:"entries"`
		}
		if err := json.Unmarshal([]byte(text), &runtime); err != nil {
			return err
		}
		recent := slices.Index(runtime.Layers, translate.TopLayer)
		if recent < 0 {
			w.t.Fatalf("%s has no layer %s: %v", p.name, translate.TopLayer, runtime.Layers)
		}
		for key, entry := range runtime.Entries {
			if entry.Values[recent] != "" {
				return fmt.Errorf("%s is in %s", key, translate.TopLayer)
			}
		}
		return nil
	})
}
