// Package envoytest gives tests real Envoys, of the pinned versions, that end with the test and show their log if it failed.
//
//	envoytest.EachVersion(t, func(t *testing.T, version string) {
//		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: bootstrap, NodeID: "p1", Cluster: "default"})
//		e.AwaitReady()
//		…
//	})
package envoytest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Deadline is how long anything may take that a test waits for here, unless it says otherwise.
const Deadline = 30 * time.Second

// Config says what to start. Only Bootstrap is needed; it must have an admin address, best with port 0.
type Config struct {
	Version     string // empty: [envoybin.Newest]
	Bootstrap   []byte // YAML or JSON
	NodeID      string // --service-node
	Cluster     string // --service-cluster
	Concurrency int    // worker threads; 0 means 1
	LogLevel    string // empty: warning
	Args        []string
}

// Envoy is a running Envoy of a test. The methods of its own fail the test instead of returning an error.
type Envoy struct {
	*envoyproc.Process
	t testing.TB
}

// Versions are what a test of Envoy's behaviour runs on.
func Versions() []string { return []string{envoybin.Newest, envoybin.Oldest} }

// EachVersion runs test as a subtest for each of [Versions].
func EachVersion(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range Versions() {
		t.Run("envoy-"+version, func(t *testing.T) { test(t, version) })
	}
}

// Binary returns the Envoy of a version, installing it if need be.
func Binary(t testing.TB, version string) envoybin.Binary {
	t.Helper()
	if version == "" {
		version = envoybin.Newest
	}
	b, err := envoybin.Pinned(context.Background(), version, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Start starts an Envoy that ends with the test. It returns when the admin interface answers; see [Envoy.AwaitReady].
func Start(t testing.TB, c Config) *Envoy {
	t.Helper()
	b := Binary(t, c.Version)
	p, err := envoyproc.Start(context.Background(), envoyproc.Config{
		Binary: b, Bootstrap: c.Bootstrap, NodeID: c.NodeID, Cluster: c.Cluster,
		Concurrency: c.Concurrency, LogLevel: c.LogLevel, Args: c.Args,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s, node %q, printed last:\n%s", b, c.NodeID, p.LastLines(100))
		}
	})
	return &Envoy{Process: p, t: t}
}

// AwaitReady waits until Envoy says LIVE.
func (e *Envoy) AwaitReady() {
	e.t.Helper()
	e.await("to be ready", e.WaitReady)
}

// AwaitStat waits until ok holds for a counter or gauge.
func (e *Envoy) AwaitStat(name string, ok func(uint64) bool) {
	e.t.Helper()
	e.await("for "+name, func(ctx context.Context) error { return e.WaitStat(ctx, name, ok) })
}

// AwaitStatAtLeast waits until a counter or gauge has reached a value.
func (e *Envoy) AwaitStatAtLeast(name string, least uint64) {
	e.t.Helper()
	e.AwaitStat(name, func(n uint64) bool { return n >= least })
}

// AwaitRuntime waits until a runtime key has a value.
func (e *Envoy) AwaitRuntime(key, value string) {
	e.t.Helper()
	e.await("for runtime "+key+" = "+value, func(ctx context.Context) error {
		return poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
			values, err := e.Runtime(ctx)
			if err != nil {
				return err
			}
			if values[key] != value {
				return fmt.Errorf("it is %q", values[key])
			}
			return nil
		})
	})
}

// ListenerAddress waits for a listener by name and returns its address, HOST:PORT.
func (e *Envoy) ListenerAddress(name string) string {
	e.t.Helper()
	var address string
	e.await("for listener "+name, func(ctx context.Context) error {
		return poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
			listeners, err := e.Listeners(ctx)
			if err != nil {
				return err
			}
			var ok bool
			if address, ok = listeners[name]; !ok {
				return fmt.Errorf("there are only %v", listeners)
			}
			return nil
		})
	})
	return address
}

// await runs f for at most [Deadline]; a failure ends the test and says whether Envoy still runs.
func (e *Envoy) await(what string, f func(context.Context) error) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	if err := f(ctx); err != nil {
		if exit, ended := e.Exited(); ended {
			e.t.Fatalf("waiting for %s %s: it has exited: %v", e.Binary, what, exit)
		}
		e.t.Fatalf("waiting for %s %s: %v", e.Binary, what, err)
	}
}

// Port reserves a port of an address of its own until the test ends; Envoy can bind it while it is reserved.
func Port(t testing.TB) *loopback.Port {
	t.Helper()
	p, err := loopback.Reserve(loopback.Host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}
