package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	fleet   = "default"
	proxies = 2
	port    = 10000 // of the service, at each proxy's own address
)

// world is everything that runs: all of it on loopback addresses of its own, so that several demos do not meet.
type world struct {
	*stack.Stack
	ecs, eks  *origin.Origin
	serverLog *os.File
}

// start starts the origins, the control plane and the proxies, and returns when the proxies are connected. What it started before an
// error is for close to end.
func (w *world) start(ctx context.Context, o options, envoy envoybin.Binary) (err error) {
	if w.ecs, err = origin.Start(origin.Config{Name: "ecs", Plain: true, Keep: remembered}); err != nil {
		return err
	}
	if w.eks, err = origin.Start(origin.Config{Name: "eks", Plain: true, Keep: remembered}); err != nil {
		return err
	}
	if w.serverLog, err = os.Create(filepath.Join(o.dir, "xds-server.log")); err != nil {
		return err
	}
	settings := filepath.Join(o.dir, "settings.yaml")
	if err := os.WriteFile(settings, []byte(approvers), 0o600); err != nil {
		return err
	}
	w.Stack, err = stack.Start(ctx, stack.Config{Binary: filepath.Join(o.bin, "xds-server"), Envoy: envoy, Dir: o.dir, File: settings, Log: w.serverLog})
	if err != nil {
		return err
	}
	for range proxies {
		if _, err := w.AddProxy(ctx, fleet, 1); err != nil {
			return err
		}
	}
	return w.awaitFleet(ctx, func(p *crossfadev1.Proxy) bool { return p.GetConnected() })
}

func (w *world) close() {
	if w.Stack != nil {
		w.Stack.Close()
	}
	for _, o := range []*origin.Origin{w.ecs, w.eks} {
		if o != nil {
			o.Close()
		}
	}
	if w.serverLog != nil {
		_ = w.serverLog.Close()
	}
}

// origins are both, as the tables list them.
func (w *world) origins() []*origin.Origin { return []*origin.Origin{w.ecs, w.eks} }

// addresses are where the proxies serve.
func (w *world) addresses() []string {
	var out []string
	for _, p := range w.Proxies {
		out = append(out, net.JoinHostPort(p.Host, strconv.Itoa(port)))
	}
	return out
}

// writeService writes orders.yaml.
func (w *world) writeService(dir string) error {
	return os.WriteFile(filepath.Join(dir, "orders.yaml"), fmt.Appendf(nil, `apiVersion: crossfade/v1
kind: Service
name: orders
hosts: [%s]
listener: {port: %d}
primary: ecs                 # where a rollback goes
origins:
  - {name: ecs, protocol: http1, static: {endpoints: ["%s"]}}
  - {name: eks, protocol: http1, static: {endpoints: ["%s"]}}
`, host, port, w.ecs.Addr(), w.eks.Addr()), 0o644)
}

// awaitReady waits until the proxies say that they are ready for requests, and accept connections for the service.
func (w *world) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for i, p := range w.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
		err := poll.Until(ctx, 5*time.Millisecond, func(ctx context.Context) error {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", w.addresses()[i])
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitFleet waits until every proxy is as it should be.
func (w *world) awaitFleet(ctx context.Context, is func(*crossfadev1.Proxy) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		got, err := w.API.ListProxies(ctx, &crossfadev1.ListProxiesRequest{Fleet: fleet})
		if err != nil {
			return err
		}
		n := 0
		for _, p := range got.GetItems() {
			if is(p) {
				n++
			}
		}
		if n < proxies {
			return fmt.Errorf("only %d of %d proxies are connected and have what they should have", n, proxies)
		}
		return nil
	})
}

// upToDate says whether a proxy is connected and has what it should have.
func upToDate(p *crossfadev1.Proxy) bool {
	return p.GetConnected() && p.GetState() == "ok" && p.GetAckedRevision() == p.GetWantedRevision()
}

// rollbackRecord waits for what the history says of the last rollback, the fleet's part included.
func (w *world) rollbackRecord(ctx context.Context) (rev *crossfadev1.Revision, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		got, err := w.API.ListHistory(ctx, &crossfadev1.ListHistoryRequest{Service: "orders"})
		if err != nil {
			return err
		}
		for _, r := range got.GetItems() {
			if rev = r; r.GetAction() == "rollback" && r.GetFleet() != nil {
				return nil
			}
		}
		return fmt.Errorf("the history has no rollback with what the fleet confirmed")
	})
	return rev, err
}

// logs returns the last lines that the control plane and the proxies logged, without what they print besides.
func (w *world) logs() string {
	var b strings.Builder
	tail := func(name, begin, text string) {
		var lines []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, begin) {
				lines = append(lines, name+": "+strings.TrimSpace(line))
			}
		}
		for _, line := range lines[max(0, len(lines)-6):] {
			b.WriteString(line + "\n")
		}
	}
	if text, err := os.ReadFile(w.serverLog.Name()); err == nil {
		tail("xds-server", "time=", string(text))
	}
	for _, p := range w.Proxies {
		tail(p.ID, "[", p.Logs())
	}
	return strings.TrimSpace(b.String())
}
