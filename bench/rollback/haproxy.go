package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// haproxies is the peer: one process for each proxy, whose weights are set through its runtime socket.
type haproxies struct {
	version   string
	processes []*haproxy
}

type haproxy struct {
	*process
	address string
	socket  string
}

const haproxyConfig = `global
  nbthread 1
  maxconn 8000
  stats socket %s mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind %s
  default_backend orders
backend orders
  balance roundrobin
  server ecs %s weight 100
  server eks %s weight 0
`

func startHAProxies(ctx context.Context, dir string, l *lab, n int) (*haproxies, error) {
	path, err := find("haproxy", "apt-get install haproxy", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, path, "-v").Output()
	if err != nil {
		return nil, fmt.Errorf("haproxy -v: %w", err)
	}
	h := &haproxies{}
	if words := strings.Fields(string(out)); len(words) > 2 {
		h.version = words[2]
	}
	for i := range n {
		p, err := startHAProxy(ctx, path, filepath.Join(dir, fmt.Sprintf("haproxy-%d", i+1)), l)
		if err != nil {
			h.close()
			return nil, err
		}
		h.processes = append(h.processes, p)
	}
	return h, nil
}

func startHAProxy(ctx context.Context, path, file string, l *lab) (*haproxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &haproxy{address: address, socket: file + ".sock"}
	config := fmt.Sprintf(haproxyConfig, p.socket, p.address, l.ecs.Addr(), l.eks.Addr())
	if err := os.WriteFile(file+".cfg", []byte(config), 0o600); err != nil {
		return nil, err
	}
	if p.process, err = startProcess(path, "-db", "-q", "-f", file+".cfg"); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := poll.Until(wait, 10*time.Millisecond, func(context.Context) error { _, err := p.tell("show info"); return err }); err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

// tell gives a command on a connection of its own, as a script would, and returns what is answered.
func (p *haproxy) tell(command string) (string, error) {
	c, err := net.DialTimeout("unix", p.socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.TrimSpace(string(b)), err
}

func (h *haproxies) name() string { return "haproxy" }

func (h *haproxies) targets() (out []string) {
	for _, p := range h.processes {
		out = append(out, p.address)
	}
	return out
}

func (h *haproxies) pids() (out []int) {
	for _, p := range h.processes {
		out = append(out, p.pid())
	}
	return out
}

func (h *haproxies) away(context.Context) error { return h.set(oldName, newName) }

func (h *haproxies) back(context.Context, bool) (answer, error) {
	called := monotime.Now()
	err := h.set(newName, oldName)
	return answer{acked: (monotime.Now() - called).Seconds()}, err
}

// set gives everything to one origin at all processes at once; the one that gains comes first, so that the sum is never 0.
func (h *haproxies) set(gains, loses string) error {
	return atOnce(h.processes, func(p *haproxy) error {
		said, err := p.tell("set server orders/" + gains + " weight 100; set server orders/" + loses + " weight 0")
		if err == nil && said != "" {
			err = errors.New(said)
		}
		return err
	})
}

func (h *haproxies) close() {
	if h == nil {
		return
	}
	for _, p := range h.processes {
		p.close()
	}
}
