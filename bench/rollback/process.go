package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// process is one of a peer's. What it starts is of its group and ends with it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  bytes.Buffer // to be read once it has ended
}

func startProcess(path string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr, p.cmd.Stdout, p.cmd.Stderr = child.Attributes(), &p.out, &p.out
	return p, child.Start(p.cmd, p.done)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) close() {
	if syscall.Kill(-p.pid(), syscall.SIGKILL) != nil {
		_ = p.cmd.Process.Kill() // no group of its own here
	}
	<-p.done
}

// failed ends a process and adds what it said to the error.
func (p *process) failed(err error) error {
	p.close()
	return fmt.Errorf("%s: %w\n%s", filepath.Base(p.cmd.Path), err, p.out.String())
}

// awaitServing waits until a proxy that was started has its configuration: some listen before.
func awaitServing(ctx context.Context, p *process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		select {
		case <-p.done:
			cancel()
			return errors.New("it has ended")
		default:
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
		if err != nil {
			return err
		}
		got, err := client.Do(r)
		if err != nil {
			return err
		}
		_ = got.Body.Close()
		if got.StatusCode != http.StatusOK {
			return errors.New(got.Status)
		}
		return nil
	})
}

// missing is the error of a peer that is not on this machine; get says how to get it.
type missing struct{ name, get string }

func (m missing) Error() string { return m.name + " is " + m.note() }

// note is what the report says in place of figures.
func (m missing) note() string { return "not on this machine: " + m.get }

// find returns the path of a program: from PATH, or from one of some more folders. The error is a [missing].
func find(name, howToGet string, folders ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range folders {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", missing{name, howToGet}
}

// freeAddress is one that a program can bind which knows nothing of [loopback.Port].
func freeAddress() (string, error) {
	port, err := loopback.Reserve(loopback.Host())
	if err != nil {
		return "", err
	}
	port.Release()
	return port.Addr(), nil
}

// replaceFile writes a file so that nobody reads a half of it.
func replaceFile(name, text string) error {
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// atOnce calls f for each of some processes at the same time.
func atOnce[P any](processes []P, f func(P) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(processes))
	for i, p := range processes {
		all.Go(func() { errs[i] = f(p) })
	}
	all.Wait()
	return errors.Join(errs...)
}
