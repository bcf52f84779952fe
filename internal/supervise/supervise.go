// Package supervise keeps one child process running: work that may fail on what it is given must not take its parent with it, neither
// by a crash nor by the memory that it needs.
package supervise

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
)

// Config says what to run. The child is this same executable with other arguments.
type Config struct {
	Name   string     // what the log calls the child
	Args   []string   // without the name of the program
	Env    []string   // all of its variables
	Files  []*os.File // its file descriptors from 3 on. They are closed here once nothing needs them
	Stderr *os.File   // gets what it writes to its standard error, as it is; nil: nowhere
	Log    *slog.Logger
	Memory int64         // resident bytes beyond which it is killed; 0: no limit. Linux only
	Nice   int           // by how much it gives way to others, as nice(1) counts. Linux only
	Grace  time.Duration // how long it may take to end after SIGTERM; 0: 5 s
}

func (c Config) close() {
	for _, f := range c.Files {
		f.Close()
	}
}

const (
	firstWait = 100 * time.Millisecond // before the first restart; doubled each time
	lastWait  = 5 * time.Second
	// healthy is how long a child must have run for its end to be the first.
	healthy = 30 * time.Second
	// lookEvery is how often the memory of the child is looked at. At a gigabyte per second, which is what one core writes, it gets no further
	// than a quarter beyond.
	lookEvery = 250 * time.Millisecond
)

// Process is a child that is started again whenever it ends.
type Process struct {
	config Config
	cancel context.CancelFunc
	ended  chan struct{}
	pid    atomic.Int64
}

// Start starts the child, and again each time that it ends or that it cannot be started, until ctx ends or [Process.Stop].
func Start(ctx context.Context, c Config) *Process {
	c.Grace = cmp.Or(c.Grace, 5*time.Second)
	ctx, cancel := context.WithCancel(ctx)
	p := &Process{config: c, cancel: cancel, ended: make(chan struct{})}
	go p.keep(ctx, p.start())
	return p
}

// Stop ends the child in order, with SIGTERM first, and waits for its end. A nil Process is one that was never started.
func (p *Process) Stop() {
	if p == nil {
		return
	}
	p.cancel()
	<-p.ended
}

// PID is the child's process id, 0 while it is down.
func (p *Process) PID() int { return int(p.pid.Load()) }

// keep runs the child until ctx ends.
func (p *Process) keep(ctx context.Context, r *running) {
	defer close(p.ended)
	defer p.config.close()
	defer p.cancel()
	for wait := time.Duration(0); ; r = p.start() {
		how := p.watch(ctx, r)
		if ctx.Err() != nil {
			return
		}
		wait = nextWait(wait, time.Since(r.started))
		if r.failed != nil {
			p.config.Log.Error("a child process cannot be started; it is tried again", "child", p.config.Name, "how", how, "in", wait)
		} else {
			p.config.Log.Error("a child process has ended; it is started again", "child", p.config.Name, "how", how, "in", wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// nextWait is how long a restart waits, after the wait before it and how long the child ran since.
func nextWait(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= healthy {
		return firstWait
	}
	return min(2*last, lastWait)
}

// running is one life of the child.
type running struct {
	cmd     *exec.Cmd
	started time.Time
	ended   chan struct{}
	failed  error // to start
}

func (p *Process) start() *running {
	r := &running{started: time.Now(), ended: make(chan struct{})}
	path, err := self()
	if err != nil {
		r.failed = fmt.Errorf("find the program of %s: %w", p.config.Name, err)
		return r
	}
	r.cmd = exec.Command(path, p.config.Args...)
	r.cmd.Args[0] = os.Args[0]
	r.cmd.Env = append([]string{}, p.config.Env...) // nil would be all of the parent's
	r.cmd.ExtraFiles = p.config.Files
	if p.config.Stderr != nil { // a nil *os.File is not a nil io.Writer
		r.cmd.Stderr = p.config.Stderr
	}
	r.cmd.SysProcAttr = child.Attributes()
	if err := child.Start(r.cmd, r.ended); err != nil {
		r.failed = fmt.Errorf("start %s: %w", p.config.Name, err)
		return r
	}
	pid := r.cmd.Process.Pid
	p.pid.Store(int64(pid))
	if err := giveWay(pid, p.config.Nice); err != nil {
		p.config.Log.Warn("a child process is not told to give way to others", "child", p.config.Name, "error", err)
	}
	p.config.Log.Info("a child process was started", "child", p.config.Name, "pid", pid)
	return r
}

// watch waits for the end of the child, or ends it: when ctx ends, in order, and when it has too much memory, at once. It returns how it ended.
func (p *Process) watch(ctx context.Context, r *running) string {
	if r.failed != nil {
		return r.failed.Error()
	}
	defer p.pid.Store(0)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	why := ""
	for {
		select {
		case <-r.ended:
			return r.cmd.ProcessState.String() + why
		case <-ctx.Done():
			p.end(r)
			return r.cmd.ProcessState.String()
		case <-look.C:
			size, known := resident(r.cmd.Process.Pid)
			if limit := p.config.Memory; limit > 0 && known && size > limit && why == "" {
				why = fmt.Sprintf(": it had %d MiB of memory, of at most %d", size>>20, limit>>20)
				_ = r.cmd.Process.Kill() // an error says that it has just ended
			}
		}
	}
}

// end ends the child in order.
func (p *Process) end(r *running) {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // an error says that it has just ended
	select {
	case <-r.ended:
	case <-time.After(p.config.Grace):
		p.config.Log.Warn("a child process did not end in time; it is killed", "child", p.config.Name, "grace", p.config.Grace)
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}
