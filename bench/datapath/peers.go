package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"text/template"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// minimal is the peer of the aim.
const minimal = "envoy-static"

//go:embed *.tmpl
var configs embed.FS

var templates = template.Must(template.ParseFS(configs, "*.tmpl"))

// place is what the configurations of peers say.
type place struct {
	Dir, Host string
	Port      int
	Origins   []place
	Name      string
}

// newPlace is one with an address that nobody else uses.
func (b *bench) newPlace() (place, error) {
	at, err := loopback.Reserve(loopback.Host())
	if err != nil {
		return place{}, err
	}
	at.Release()
	p := place{Dir: b.dir, Host: at.Host(), Port: at.Number()}
	for _, o := range b.origins {
		p.Origins = append(p.Origins, place{Name: o.Name(), Host: o.Host(), Port: o.Port()})
	}
	return p, nil
}

func (p place) address() string { return net.JoinHostPort(p.Host, fmt.Sprint(p.Port)) }

// plan of a process at the place.
func (p place) plan() Plan { return Plan{Target: p.address(), Hosts: []string{host("orders")}} }

// config is the text of a peer's configuration.
func (p place) config(file string) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, file, p)
	return out.Bytes(), err
}

// minimal is the Envoy of somebody who wants a weighted split and no more.
func (b *bench) minimal(c map[string]any) *system {
	return &system{name: minimal, c: c, start: func(ctx context.Context, _ *site) (*process, error) {
		return b.startEnvoy(ctx, func(at place) ([]byte, error) { return at.config("envoy-static.yaml.tmpl") })
	}}
}

// startEnvoy starts an Envoy of one worker at a new place. What it prints is read, as that of the fleet is, and forgotten.
func (b *bench) startEnvoy(ctx context.Context, config func(place) ([]byte, error)) (*process, error) {
	at, err := b.newPlace()
	if err != nil {
		return nil, err
	}
	bootstrap, err := config(at)
	if err != nil {
		return nil, err
	}
	e, err := envoyproc.Start(ctx, envoyproc.Config{Binary: b.envoy, Bootstrap: bootstrap, Concurrency: 1, Log: io.Discard})
	if err != nil {
		return nil, err
	}
	ready := func(ctx context.Context) error {
		if err := e.WaitReady(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, e.LastLines(5))
		}
		return nil
	}
	return &process{plan: at.plan(), pid: e.PID(), ready: ready, end: e.Kill}, nil
}

// peer is a proxy of others, for context.
type peer struct {
	name   string
	config string   // template
	args   []string // before the path of the configuration
	debian string   // package
}

var peers = []peer{
	{"haproxy", "haproxy.cfg.tmpl", []string{"-db", "-q", "-f"}, "haproxy"}, {"nginx", "nginx.conf.tmpl", []string{"-e", "stderr", "-c"}, "nginx-light"},
}

// errAbsent is that of a peer which is not on PATH.
var errAbsent = errors.New("not on this machine")

var number = regexp.MustCompile(`\d+\.\d+[\w.-]*`)

// peer looks for a peer, and which version it has.
func (b *bench) peer(ctx context.Context, of peer, c map[string]any) (*system, error) {
	path, err := exec.LookPath(of.name)
	if err != nil {
		return nil, fmt.Errorf("%w: apt-get install %s", errAbsent, of.debian)
	}
	version, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s -v: %w", of.name, err)
	}
	b.r.Version(of.name, number.FindString(string(version)))
	return &system{name: of.name, c: c, start: func(context.Context, *site) (*process, error) { return b.startPeer(of, path) }}, nil
}

// startPeer starts a peer.
func (b *bench) startPeer(of peer, path string) (*process, error) {
	p, err := b.newPlace()
	if err != nil {
		return nil, err
	}
	config, err := p.config(of.config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, of.name+".conf")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, append(of.args, file)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, child.Attributes()
	done := make(chan struct{})
	if err := child.Start(cmd, done); err != nil {
		return nil, err
	}
	end := func() {
		_ = cmd.Process.Kill()
		<-done
	}
	ready := func(ctx context.Context) error {
		if err := poll.Until(ctx, 10*time.Millisecond, p.listens); err != nil {
			end() // it writes no more
			return fmt.Errorf("%w\n%s", err, out.String())
		}
		return nil
	}
	return &process{plan: p.plan(), pid: cmd.Process.Pid, ready: ready, end: end}, nil
}

// listens is nil once somebody takes connections.
func (p place) listens(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", p.address())
	if err == nil {
		err = c.Close()
	}
	return err
}
