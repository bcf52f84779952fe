package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// asServer makes the binary of the tests the server itself.
const asServer = "CROSSFADE_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" || slices.Contains(os.Args, "--"+comparatorFD) { // what a server starts gets no variables of the test's
		main()
	}
	os.Exit(m.Run())
}

// deadline is how long anything may take here.
const deadline = 30 * time.Second

// process is a server as a process of its own.
type process struct {
	*exec.Cmd
	t              *testing.T
	stdout, stderr *output
	ended          chan struct{}
	file           string // its ready file
	ready          ready
}

// output is what a process prints, read while it does.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command prepares a server with these arguments, and only these variables.
func command(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0], args...), t: t, stdout: &output{}, stderr: &output{}, ended: make(chan struct{})}
	p.Env = append([]string{asServer + "=1", "HOME=" + t.TempDir()}, env...)
	p.Dir = t.TempDir()
	p.Stdout, p.Stderr = p.stdout, p.stderr
	return p
}

// runs runs a server that is expected to end by itself, and returns its exit code.
func (p *process) runs() int {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.Run(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// launch starts a server on free ports with a data directory, and waits until it is ready.
func launch(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return launchAt(t, dir, filepath.Join(t.TempDir(), "ready.json"), args...)
}

// launchAt is launch with a ready file.
func launchAt(t *testing.T, dir, file string, args ...string) *process {
	t.Helper()
	p := command(t, nil, append(append([]string{"--dev", "--data-dir", dir, "--ready-file", file}, free()...), args...)...)
	p.file = file
	p.begin()
	p.await("the ready file", func() bool {
		b, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(b, &p.ready); err != nil {
				p.t.Fatalf("the ready file is not whole: %q", b)
			}
		}
		return err == nil && p.ready.PID == p.Process.Pid
	})
	return p
}

// free are flags for free ports of an address of its own.
func free() []string {
	var out []string
	host := loopback.Host()
	for _, l := range (&config{comparatorChild: true}).listens() {
		out = append(out, l.flag, net.JoinHostPort(host, "0"))
	}
	return out
}

func (p *process) begin() {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	p.t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		if p.t.Failed() {
			p.t.Logf("xds-server printed:\n%s", p.stderr)
		}
	})
}

// await waits for something that the server does.
func (p *process) await(what string, ok func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := poll.Until(ctx, 5*time.Millisecond, func(context.Context) error {
		select {
		case <-p.ended:
			cancel()
			return errors.New("it has ended")
		default:
			return poll.True(ok)(ctx)
		}
	})
	if err != nil {
		p.t.Fatalf("waiting for %s: %v\n%s", what, err, p.stderr)
	}
}

// signal sends a signal, and ends waits for the end.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code, -1 if a signal ended it.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(deadline):
		p.t.Fatalf("it does not end\n%s", p.stderr)
	}
	return p.ProcessState.ExitCode()
}

func (p *process) client() crossfadev1.CrossfadeServiceClient {
	p.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.ready.API, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return crossfadev1.NewCrossfadeServiceClient(conn)
}

// orders is a document with two origins, which nothing needs to answer at.
func orders(endpoints ...string) *crossfadev1.Document {
	if endpoints == nil {
		endpoints = []string{"127.0.0.2:8080", "127.0.0.3:8080"}
	}
	static := func(address string) *crossfadev1.Origin_Static {
		return &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{address}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{{Name: "ecs", Discovery: static(endpoints[0])}, {Name: "eks", Discovery: static(endpoints[1])}},
	}}}
}

// lacks returns those of wants that a text does not have.
func lacks(text string, wants []string) []string {
	var out []string
	for _, w := range wants {
		if !strings.Contains(text, w) {
			out = append(out, w)
		}
	}
	return out
}
