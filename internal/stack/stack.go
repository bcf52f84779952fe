// Package stack runs a whole Crossfade on one machine, as processes: the control plane, real Envoys in front of it, on free ports of
// loopback addresses. The demo, the end-to-end tests and the benchmarks stand on it.
package stack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Config says what to run.
type Config struct {
	Binary string          // xds-server, see [Build]
	Envoy  envoybin.Binary // what the proxies run
	Dir    string          // for data, logs and bootstraps
	Data   string          // data directory of the control plane; empty: in Dir
	Env    []string        // more variables for the control plane
	File   string          // settings file of the control plane; empty: none
	TLS    *TLS            // nil: clear text
	Log    io.Writer       // gets what the control plane prints; may be nil
	Flush  time.Duration   // how often proxies send statistics; 0: as bootstraps say by default
}

// Stack is a running Crossfade. Close ends every process of it.
type Stack struct {
	Config
	API     crossfadev1.CrossfadeServiceClient
	Server  Addresses
	Proxies []*Proxy

	conn *grpc.ClientConn
	cmd  *exec.Cmd
	done chan struct{}
}

// Addresses is what the control plane writes into its ready file.
type Addresses struct {
	PID        int    `json:"pid"`
	Version    string `json:"version"`
	XDS        string `json:"xds"`
	Comparator string `json:"comparator"`
	API        string `json:"api"`
	HTTP       string `json:"http"`
}

// Proxy is one Envoy of the fleet.
type Proxy struct {
	*envoyproc.Process
	ID    string
	Fleet string
	Host  string // address of its listeners; the port is the service's
	Ready string // URL of its readiness
	log   *os.File
}

// Build compiles a command of this module into dir and returns the path of the binary.
func Build(ctx context.Context, dir, command string) (string, error) {
	path := filepath.Join(dir, command)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/crossfade-proxy/crossfade/cmd/"+command)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, out.String())
	}
	return path, nil
}

// Start starts the control plane. Proxies come by [Stack.AddProxy].
func Start(ctx context.Context, c Config) (*Stack, error) {
	free := net.JoinHostPort(loopback.Host(), "0") // on a host of its own, nobody takes its ports while it is down
	s := &Stack{Config: c, Server: Addresses{XDS: free, API: free, HTTP: free, Comparator: free}}
	if err := s.startServer(ctx); err != nil {
		return nil, err
	}
	creds, err := c.TLS.credentials()
	if err != nil {
		s.Close()
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+s.Server.API, grpc.WithTransportCredentials(creds))
	if err != nil {
		s.Close()
		return nil, err
	}
	s.conn, s.API = conn, crossfadev1.NewCrossfadeServiceClient(conn)
	return s, nil
}

// ServerCommand is the command line of the control plane, for the addresses that it has or is to have.
func (s *Stack) ServerCommand() []string {
	argv := []string{
		s.Binary, "--xds-listen", s.Server.XDS, "--api-listen", s.Server.API, "--http-listen", s.Server.HTTP,
		"--comparator-listen", s.Server.Comparator, "--data-dir", cmp.Or(s.Data, filepath.Join(s.Dir, "data")), "--ready-file", s.readyFile(),
	}
	argv = append(argv, s.TLS.flags()...)
	if s.File != "" {
		argv = append(argv, "--config", s.File)
	}
	return argv
}

func (s *Stack) readyFile() string { return filepath.Join(s.Dir, "ready.json") }

// startServer starts the control plane and waits for its ready file.
func (s *Stack) startServer(ctx context.Context) error {
	ready := s.readyFile()
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	argv := s.ServerCommand()
	cmd := exec.Command(argv[0], argv[1:]...)
	var out bytes.Buffer
	cmd.Stderr = &out
	if s.Log != nil {
		cmd.Stderr = io.MultiWriter(&out, s.Log)
	}
	cmd.Stdout = cmd.Stderr
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.SysProcAttr = child.Attributes()
	done := make(chan struct{})
	if err := child.Start(cmd, done); err != nil {
		return err
	}
	s.cmd, s.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := poll.Until(ctx, 2*time.Millisecond, func(context.Context) error {
		select {
		case <-done:
			return nil // looked at below
		default:
		}
		b, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &s.Server)
	})
	select {
	case <-done:
		return fmt.Errorf("xds-server ended: %s", out.String())
	default:
	}
	if err != nil {
		s.KillServer()
		return fmt.Errorf("xds-server is not ready: %w\n%s", err, out.String())
	}
	return nil
}

// KillServer ends the control plane as a crash does.
func (s *Stack) KillServer() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// RestartServer starts the control plane again where it was, with the same addresses and data.
func (s *Stack) RestartServer(ctx context.Context) error {
	if err := s.startServer(ctx); err != nil {
		return err
	}
	s.conn.ResetConnectBackoff() // calls fail at once while it waits
	for state := s.conn.GetState(); state != connectivity.Ready; state = s.conn.GetState() {
		s.conn.Connect()
		if !s.conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("the API cannot be reached: %w", ctx.Err())
		}
	}
	return nil
}

// AddProxy starts an Envoy of the fleet on a loopback address of its own. It returns before it is ready, see [Proxy.AwaitReady].
func (s *Stack) AddProxy(ctx context.Context, fleet string, workers int) (*Proxy, error) {
	return s.addProxy(ctx, fleet, fmt.Sprintf("proxy-%d", len(s.Proxies)+1), workers)
}

// AddTwin starts an Envoy with the id and fleet of another: a mistake that people make.
func (s *Stack) AddTwin(ctx context.Context, of *Proxy) (*Proxy, error) {
	return s.addProxy(ctx, of.Fleet, of.ID, 1)
}

func (s *Stack) addProxy(ctx context.Context, fleet, id string, workers int) (*Proxy, error) {
	p := &Proxy{ID: id, Fleet: fleet, Host: loopback.Host()}
	// Of readiness, of the admin interface, and for comparators: nobody else has the host, and services get ports above these.
	at := [3]string{p.Host + ":19080", p.Host + ":19901", p.Host + ":19090"}
	p.Ready = "http://" + at[0] + "/ready"
	secrets, err := s.TLS.bootstrap(s.Dir, id)
	if err != nil {
		return nil, err
	}
	var boot bytes.Buffer
	if err := envoy.Render(&boot, envoy.Bootstrap{
		Fleet: fleet, NodeID: p.ID, ListenAddress: p.Host, XDSAddress: s.Server.XDS, ReadyAddress: at[0], AdminAddress: at[1],
		ExperimentAddress: at[2], FlushInterval: s.Flush, TLS: secrets,
	}); err != nil {
		return nil, err
	}
	if p.log, err = os.Create(filepath.Join(s.Dir, fmt.Sprintf("%s-%d.log", p.ID, len(s.Proxies)))); err != nil {
		return nil, err
	}
	p.Process, err = envoyproc.Start(ctx, envoyproc.Config{Binary: s.Envoy, Bootstrap: boot.Bytes(), Concurrency: workers, Log: &capped{file: p.log}})
	if err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	s.Proxies = append(s.Proxies, p)
	return p, nil
}

// AwaitReady waits until the proxy has its first complete configuration.
func (p *Proxy) AwaitReady(ctx context.Context) error {
	return poll.Until(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Ready, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s is not ready: %s", p.ID, bytes.TrimSpace(body))
		}
		return nil
	})
}

// Close ends everything: proxies drained by nobody, the control plane asked first.
func (s *Stack) Close() {
	for _, p := range s.Proxies {
		p.Kill()
		_ = p.log.Close()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.KillServer()
	}
}
