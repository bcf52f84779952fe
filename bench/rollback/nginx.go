package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// nginxes is a peer: one master with one worker for each proxy. A rollback writes their configurations and has them read anew.
type nginxes struct {
	lab       *lab
	path      string
	processes []*nginx
}

type nginx struct {
	*process
	path, folder, address string
}

// nginxConfig leaves everything as it is by default but what a proxy needs: connections to the origins that stay open.
const nginxConfig = `daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream orders {
    server %s;
    server %s down;
    keepalive 64;
  }
  server {
    listen %s;
    location / {
      proxy_pass http://orders;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
    }
  }
}
`

func startNginxes(ctx context.Context, dir string, l *lab, n int) (*nginxes, error) {
	path, err := find("nginx", "apt-get install nginx", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	all := &nginxes{lab: l, path: path}
	for i := range n {
		p, err := startNginx(ctx, path, filepath.Join(dir, fmt.Sprintf("nginx-%d", i+1)), l)
		if err != nil {
			all.close()
			return nil, err
		}
		all.processes = append(all.processes, p)
	}
	return all, nil
}

func startNginx(ctx context.Context, path, folder string, l *lab) (*nginx, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &nginx{path: path, folder: folder, address: address}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	if err := p.write(l.ecs.Addr(), l.eks.Addr()); err != nil {
		return nil, err
	}
	if p.process, err = startProcess(path, p.flags()...); err != nil {
		return nil, err
	}
	if err := awaitServing(ctx, p.process, address); err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

func (p *nginx) flags() []string {
	return []string{"-p", p.folder, "-c", filepath.Join(p.folder, "nginx.conf"), "-e", "stderr"}
}

func (p *nginx) write(gains, loses string) error {
	return replaceFile(filepath.Join(p.folder, "nginx.conf"), fmt.Sprintf(nginxConfig, gains, loses, p.address))
}

// set is what a playbook does: write, and `nginx -s reload`. It returns when the new worker runs.
func (p *nginx) set(ctx context.Context, gains, loses string) error {
	before := p.workers()
	if err := p.write(gains, loses); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, p.path, append(p.flags(), "-s", "reload")...).CombinedOutput(); err != nil {
		return fmt.Errorf("nginx -s reload: %w: %s", err, out)
	}
	return await(ctx, "nginx", time.Millisecond, func() error {
		if before == nil || slices.ContainsFunc(p.workers(), func(pid string) bool { return !slices.Contains(before, pid) }) {
			return nil
		}
		return errors.New("no new worker runs")
	})
}

// workers are the ids of the master's children; nil where the system does not say them.
func (p *nginx) workers() []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.pid()))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

func (n *nginxes) name() string { return "nginx" }

func (n *nginxes) note() string {
	return "a rollback writes the configuration and calls nginx -s reload, all processes at once; acked is when the last new worker runs"
}

func (n *nginxes) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, n.path, "-v").CombinedOutput()
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "nginx/")
	if err != nil {
		return ""
	}
	return version
}

func (n *nginxes) targets() (out []string) {
	for _, p := range n.processes {
		out = append(out, p.address)
	}
	return out
}

// pids: each reload has new workers, so what the system says of them adds up to nothing.
func (n *nginxes) pids() []int { return nil }

func (n *nginxes) away(ctx context.Context) error {
	return atOnce(n.processes, func(p *nginx) error { return p.set(ctx, n.lab.eks.Addr(), n.lab.ecs.Addr()) })
}

func (n *nginxes) back(ctx context.Context, _ bool) (answer, error) {
	called := monotime.Now()
	err := atOnce(n.processes, func(p *nginx) error { return p.set(ctx, n.lab.ecs.Addr(), n.lab.eks.Addr()) })
	if n.processes[0].workers() == nil {
		return answer{}, err // it is not known when they ran
	}
	return answer{acked: (monotime.Now() - called).Seconds()}, err
}

func (n *nginxes) close() {
	for _, p := range n.processes {
		p.close()
	}
}
