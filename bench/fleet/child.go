package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"time"
)

// roleEnv makes the same program a child: the server or the simulated fleet. A child takes calls on its standard input, one JSON object
// each, and ends when that is closed, so none outlives its parent.
const roleEnv = "CROSSFADE_BENCH_ROLE"

// The roles.
const (
	roleServer = "server"
	roleFleet  = "fleet"
)

// serveRole serves as a child if the environment says so.
func serveRole() (was bool, err error) {
	var service any
	switch role := os.Getenv(roleEnv); role {
	case "":
		return false, nil
	case roleServer:
		service = &serverRole{}
	case roleFleet:
		service = &fleetRole{}
	default:
		return true, fmt.Errorf("%s is %q", roleEnv, role)
	}
	s := rpc.NewServer()
	if err := s.RegisterName("Role", service); err != nil {
		return true, err
	}
	s.ServeCodec(jsonrpc.NewServerCodec(stdio{os.Stdin, os.Stdout}))
	return true, nil
}

// stdio is the connection of a child to its parent.
type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both ends.
func (s stdio) Close() error {
	return firstError(s.ReadCloser.Close(), s.WriteCloser.Close())
}

// child is a process of one role.
type child struct {
	role   string
	cmd    *exec.Cmd
	client *rpc.Client
}

func startChild(role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"="+role), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{role, cmd, jsonrpc.NewClient(stdio{out, in})}, nil
}

// callTimeout bounds each call: beyond it something hangs.
const callTimeout = 3 * time.Minute

// call asks the child; answer may be nil.
func (c *child) call(ctx context.Context, method string, args, answer any) error {
	if answer == nil {
		answer = new(json.RawMessage)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer in %v", callTimeout))
	defer cancel()
	select {
	case done := <-c.client.Go("Role."+method, args, answer, make(chan *rpc.Call, 1)).Done:
		if done.Error != nil {
			return fmt.Errorf("%s: %s: %w", c.role, method, done.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %s: %w", c.role, method, context.Cause(ctx))
	}
}

// kill ends the child at once; [child.stop] is still needed.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// stop ends the child.
func (c *child) stop() error {
	closed := c.client.Close()
	kill := time.AfterFunc(10*time.Second, c.kill)
	defer kill.Stop()
	return firstError(c.cmd.Wait(), closed)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
