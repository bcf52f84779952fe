// Package role runs parts of a benchmark as processes of their own, so that their CPU, memory and garbage are told apart: the same program again, whose
// environment says what it is. A child takes calls on its standard input, one JSON object each, and ends when that is closed: none outlives its
// parent.
package role

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
)

// variable of the environment that names the role of a child.
const variable = "CROSSFADE_BENCH_ROLE"

// Timeout bounds each call: beyond it something hangs.
const Timeout = 3 * time.Minute

// Serve serves calls until the parent is done, if this process is a child, and says whether it was. Main functions ask it first. Services are objects
// of package net/rpc, by role; one that is an [io.Closer] is closed in the end.
func Serve(services map[string]any) bool {
	name := os.Getenv(variable)
	if name == "" {
		return false
	}
	if err := serve(name, services[name]); err != nil {
		fmt.Fprintf(os.Stderr, "%s=%s: %v\n", variable, name, err)
		os.Exit(1)
	}
	return true
}

func serve(name string, service any) error {
	if service == nil {
		return errors.New("there is no such role")
	}
	s := rpc.NewServer()
	if err := s.RegisterName(name, service); err != nil {
		return err
	}
	s.ServeCodec(jsonrpc.NewServerCodec(stdio{os.Stdin, os.Stdout}))
	if c, ok := service.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// stdio is the connection of a child to its parent.
type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes the end that is written to, which ends the other side.
func (s stdio) Close() error { return s.WriteCloser.Close() }

// Child is a process of a role.
type Child struct {
	name   string
	cmd    *exec.Cmd
	done   chan struct{}
	client *rpc.Client
}

// Start starts a child, with more variables in its environment.
func Start(name string, variables ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr, cmd.SysProcAttr = append(append(os.Environ(), variables...), variable+"="+name), os.Stderr, child.Attributes()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &Child{name: name, cmd: cmd, done: make(chan struct{})}
	if err := child.Start(cmd, c.done); err != nil {
		return nil, err
	}
	c.client = jsonrpc.NewClient(stdio{out, in})
	return c, nil
}

// Name is the role.
func (c *Child) Name() string { return c.name }

// Ended says whether the process has.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// PID of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Call asks the child; answer may be nil.
func (c *Child) Call(ctx context.Context, method string, args, answer any) error {
	if answer == nil {
		answer = new(json.RawMessage)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Timeout, fmt.Errorf("no answer in %v", Timeout))
	defer cancel()
	select {
	case done := <-c.client.Go(c.name+"."+method, args, answer, make(chan *rpc.Call, 1)).Done:
		if done.Error != nil {
			return fmt.Errorf("%s: %s: %w", c.name, method, done.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %s: %w", c.name, method, context.Cause(ctx))
	}
}

// Kill ends the child at once; [Child.Close] is still needed.
func (c *Child) Kill() { _ = c.cmd.Process.Kill() }

// Close ends the child and waits until it has.
func (c *Child) Close() {
	_ = c.client.Close() // what it says is that the child is gone already
	kill := time.AfterFunc(10*time.Second, c.Kill)
	defer kill.Stop()
	<-c.done
}
