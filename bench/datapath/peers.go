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

func (p place) system(name string, pid int) *system {
	return &system{name: name, c: map[string]any{"services": 1}, plan: Plan{Target: p.address(), Hosts: []string{host("orders")}}, pid: pid}
}

// config is the text of a peer's configuration.
func (p place) config(file string) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, file, p)
	return out.Bytes(), err
}

// startMinimal starts the Envoy of somebody who wants a weighted split and no more.
func (b *bench) startMinimal(ctx context.Context) (*system, func(), error) {
	p, err := b.newPlace()
	if err != nil {
		return nil, nil, err
	}
	config, err := p.config("envoy-static.yaml.tmpl")
	if err != nil {
		return nil, nil, err
	}
	e, err := b.startEnvoy(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	if err := ready(ctx, e); err != nil {
		e.Kill()
		return nil, nil, err
	}
	return p.system(minimal, e.PID()), e.Kill, nil
}

// startEnvoy starts an Envoy of one worker. What it prints is read, as that of the fleet is, and forgotten.
func (b *bench) startEnvoy(ctx context.Context, config []byte) (*envoyproc.Process, error) {
	return envoyproc.Start(ctx, envoyproc.Config{Binary: b.envoy, Bootstrap: config, Concurrency: 1, Log: io.Discard})
}

// ready waits until an Envoy serves.
func ready(ctx context.Context, e *envoyproc.Process) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := e.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, e.LastLines(5))
	}
	return nil
}

// peer is a proxy of others, for context.
type peer struct {
	name   string
	config string   // template
	args   []string // before the path of the configuration
}

var peers = []peer{{"haproxy", "haproxy.cfg.tmpl", []string{"-db", "-q", "-f"}}, {"nginx", "nginx.conf.tmpl", []string{"-e", "stderr", "-c"}}}

// errAbsent says how to get a peer.
var errAbsent = errors.New("is not on PATH and missing from the results (Debian: apt-get install haproxy nginx-light)")

var number = regexp.MustCompile(`\d+\.\d+[\w.-]*`)

// startPeer starts a peer and waits until it listens.
func (b *bench) startPeer(ctx context.Context, of peer) (*system, func(), error) {
	path, err := exec.LookPath(of.name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", of.name, errAbsent)
	}
	version, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("%s -v: %w", of.name, err)
	}
	b.r.Version(of.name, number.FindString(string(version)))
	p, err := b.newPlace()
	if err != nil {
		return nil, nil, err
	}
	config, err := p.config(of.config)
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(b.dir, of.name+".conf")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(path, append(of.args, file)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &out, child.Attributes()
	done := make(chan struct{})
	if err := child.Start(cmd, done); err != nil {
		return nil, nil, err
	}
	end := func() {
		_ = cmd.Process.Kill()
		<-done
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, p.listens); err != nil {
		end()
		return nil, nil, fmt.Errorf("%s: %w\n%s", of.name, err, out.String())
	}
	return p.system(of.name, cmd.Process.Pid), end, nil
}

// listens is nil once somebody takes connections.
func (p place) listens(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", p.address())
	if err == nil {
		err = c.Close()
	}
	return err
}
