package main

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
	"runtime/debug"
	"time"
)

// roleEnv makes the same program the simulated fleet, so that its CPU is told apart from the control plane's. It takes calls on its standard input,
// one JSON object each, and ends when that is closed: it does not outlive its parent.
const (
	roleEnv   = "CROSSFADE_BENCH_ROLE"
	roleFleet = "telemetry-fleet"
)

// serveRole serves as the fleet if the environment says so.
func serveRole() (was bool, err error) {
	if os.Getenv(roleEnv) != roleFleet {
		return false, nil
	}
	debug.SetGCPercent(400) // its garbage is not what is measured
	s := rpc.NewServer()
	r := &fleetRole{}
	if err := s.RegisterName("Fleet", r); err != nil {
		return true, err
	}
	s.ServeCodec(jsonrpc.NewServerCodec(stdio{os.Stdin, os.Stdout}))
	r.end()
	return true, nil
}

// stdio is the connection of the child to its parent.
type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both ends.
func (s stdio) Close() error { return errors.Join(s.ReadCloser.Close(), s.WriteCloser.Close()) }

// child is the process of the fleet.
type child struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

func startChild() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"="+roleFleet), os.Stderr
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
	return &child{cmd, jsonrpc.NewClient(stdio{out, in})}, nil
}

// callTimeout bounds each call: beyond it something hangs.
const callTimeout = 3 * time.Minute

// call asks the child; answer may be nil.
func (c *child) call(ctx context.Context, method string, args, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if answer == nil {
		answer = new(json.RawMessage)
	}
	select {
	case done := <-c.client.Go("Fleet."+method, args, answer, make(chan *rpc.Call, 1)).Done:
		if done.Error != nil {
			return fmt.Errorf("fleet: %s: %w", method, done.Error)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("fleet: %s: no answer: %w", method, ctx.Err())
	}
}

// close ends the child.
func (c *child) close() {
	_ = c.client.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait() // it was told to end, or is killed
}
