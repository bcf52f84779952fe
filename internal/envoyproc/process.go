package envoyproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Config says which Envoy to run, and how.
type Config struct {
	Binary      envoybin.Binary // which Envoy
	Bootstrap   []byte          // YAML or JSON; it must have an admin address (port 0 is good)
	NodeID      string          // --service-node, if not empty
	Cluster     string          // --service-cluster, if not empty
	Concurrency int             // worker threads; 0 means 1
	LogLevel    string          // trace … critical; empty means warning
	Args        []string        // more arguments
	Log         io.Writer       // gets what Envoy prints, beside [Process.Logs]; may be nil
}

// Process is a running Envoy. Its methods may be called from several goroutines.
type Process struct {
	Admin                  // the admin interface
	Binary envoybin.Binary // what runs

	cmd  *exec.Cmd
	dir  string
	logs tail
	done chan struct{}
	err  error // of the process; valid once done is closed
}

// Start starts an Envoy and returns when its admin interface has an address, which is before it is ready. ctx bounds only the start.
// An error says what Envoy printed.
func Start(ctx context.Context, c Config) (*Process, error) {
	dir, err := os.MkdirTemp("", "crossfade-envoy-*")
	if err != nil {
		return nil, err
	}
	p := &Process{Binary: c.Binary, dir: dir, done: make(chan struct{})}
	if err := p.start(c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.awaitAdmin(ctx); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%s did not start: %w\n%s", p.Binary, err, p.Logs())
	}
	return p, nil
}

// start writes the bootstrap and runs the command.
func (p *Process) start(c Config) error {
	bootstrap := filepath.Join(p.dir, "bootstrap.yaml") // JSON is YAML
	if err := os.WriteFile(bootstrap, c.Bootstrap, 0o600); err != nil {
		return err
	}
	args := []string{
		"--config-path", bootstrap,
		"--use-dynamic-base-id",
		"--base-id-path", p.baseIDPath(),
		"--admin-address-path", p.adminPath(),
		"--concurrency", strconv.Itoa(max(1, c.Concurrency)),
		"--log-level", defaultTo(c.LogLevel, "warning"),
	}
	if c.NodeID != "" {
		args = append(args, "--service-node", c.NodeID)
	}
	if c.Cluster != "" {
		args = append(args, "--service-cluster", c.Cluster)
	}
	p.cmd = exec.Command(c.Binary.Path, append(args, c.Args...)...)
	p.cmd.SysProcAttr = dieWithParent()
	var out io.Writer = &p.logs
	if c.Log != nil {
		out = io.MultiWriter(&p.logs, c.Log)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	started := make(chan error)
	go p.run(started)
	return <-started
}

// run starts the command and waits for its end on one thread: Linux kills the child when the thread that started it ends, and a
// thread that a goroutine holds does not end before it.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	p.removeTraces()
	close(p.done)
}

// awaitAdmin waits for the file in which Envoy says its admin address.
func (p *Process) awaitAdmin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ctx, exited := context.WithCancelCause(ctx)
	defer exited(nil)
	go func() {
		select {
		case <-p.done:
			exited(fmt.Errorf("it exited: %w", errOr(p.err, errors.New("without an error"))))
		case <-ctx.Done():
		}
	}()
	err := poll.Until(ctx, 5*time.Millisecond, func(context.Context) error {
		address, err := os.ReadFile(p.adminPath())
		if err != nil {
			return err
		}
		if len(address) == 0 {
			return errors.New("the file with the admin address is empty")
		}
		p.Address = strings.TrimSpace(string(address))
		return nil
	})
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return fmt.Errorf("%w (the bootstrap needs an admin address)", err)
}

// removeTraces removes the process's files, and the shared memory that an Envoy leaves behind when it is killed.
func (p *Process) removeTraces() {
	if id, err := os.ReadFile(p.baseIDPath()); err == nil {
		_ = os.Remove("/dev/shm/envoy_shared_memory_" + strings.TrimSpace(string(id)) + "0")
	}
	_ = os.RemoveAll(p.dir)
}

func (p *Process) adminPath() string  { return filepath.Join(p.dir, "admin") }
func (p *Process) baseIDPath() string { return filepath.Join(p.dir, "base-id") }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exited returns how the process ended, nil after a clean exit; ended is false while it runs.
func (p *Process) Exited() (err error, ended bool) {
	select {
	case <-p.done:
		return p.err, true
	default:
		return nil, false
	}
}

// Logs returns the last megabyte of what Envoy printed.
func (p *Process) Logs() string { return p.logs.String() }

// Signal sends a signal; SIGSTOP and SIGCONT make a hung proxy.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop sends SIGTERM, waits up to grace, then kills. It returns when the process is gone, and may be called more than once.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGCONT) // a stopped process would not see the next one
	_ = p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// Kill sends SIGKILL and returns when the process is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

func defaultTo(s, value string) string {
	if s == "" {
		return value
	}
	return s
}

func errOr(err, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

// LastLines returns the last n lines of what Envoy printed.
func (p *Process) LastLines(n int) string {
	lines := bytes.Split(bytes.TrimSpace([]byte(p.Logs())), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
