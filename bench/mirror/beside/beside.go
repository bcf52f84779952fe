// Package beside breaks what stands beside the path of live requests while copies are made of them: the comparator of a control plane, and
// the candidate. The benchmark and the end-to-end tests break the same in the same ways.
package beside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	slow  = 200 * time.Millisecond
	again = 300 * time.Millisecond // between two kills
)

// Place is who stands beside the path.
type Place struct {
	Server    func() int // process id of the control plane, whose child is the comparator
	Candidate *origin.Origin
}

// Comparator is the process id of the comparator, 0 while it is down. It is the only child that a control plane has.
func (p Place) Comparator() int {
	server := p.Server()
	if server <= 1 {
		return 0 // whatever has no parent of its own is a child of these: nobody's to signal
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(server) {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			return pid
		}
	}
	return 0
}

// Signal sends a signal to the comparator; one that is down gets none.
func (p Place) Signal(sig syscall.Signal) error {
	pid := p.Comparator()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to the comparator: %w", sig, err)
	}
	return nil
}

// State is how one of them fares.
type State struct {
	Who, How string
	// Begin brings the state about; what it returns ends it, and has to be called.
	Begin func(ctx context.Context) (end func() error, err error)
}

// String names it.
func (s State) String() string { return s.Who + " " + s.How }

// States are all of them: all healthy, and the comparator and the candidate slow, frozen, and killed again and again. A slow comparator is stopped
// for most of the time; a frozen candidate accepts nothing and answers nothing.
func (p Place) States() []State {
	return []State{
		{"all", "healthy", func(context.Context) (func() error, error) { return func() error { return nil }, nil }},
		{"comparator", "slow", func(ctx context.Context) (func() error, error) {
			return Repeatedly(ctx, slow/10, func(int) error {
				err := p.Signal(syscall.SIGSTOP)
				_ = poll.Pause(ctx, slow)
				return errors.Join(err, p.Signal(syscall.SIGCONT))
			}), nil
		}},
		{"comparator", "frozen", func(context.Context) (func() error, error) {
			return func() error { return p.Signal(syscall.SIGCONT) }, p.Signal(syscall.SIGSTOP)
		}},
		{"comparator", "killed again and again", func(ctx context.Context) (func() error, error) {
			return Repeatedly(ctx, again, func(int) error { return p.Signal(syscall.SIGKILL) }), nil
		}},
		{"candidate", "slow", func(context.Context) (func() error, error) {
			return func() error { return p.Candidate.SetFaults(origin.Faults{}) }, p.Candidate.SetFaults(origin.Faults{Latency: slow})
		}},
		{"candidate", "frozen", func(context.Context) (func() error, error) {
			return func() error { return p.Candidate.SetState(origin.Serving) }, p.Candidate.SetState(origin.BlackHole)
		}},
		{"candidate", "killed again and again", func(ctx context.Context) (func() error, error) {
			how := []origin.State{origin.Refusing, origin.Serving, origin.Resetting, origin.Serving}
			stop := Repeatedly(ctx, again/2, func(i int) error { return p.Candidate.SetState(how[i%len(how)]) })
			return func() error { return errors.Join(stop(), p.Candidate.SetState(origin.Serving)) }, nil
		}},
	}
}

// Repeatedly calls f, with 0, 1, 2, …, and waits in between, until an error or until the returned function is called, which returns that error.
func Repeatedly(ctx context.Context, between time.Duration, f func(i int) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	var failed error
	done.Go(func() {
		for i := 0; failed == nil; i++ {
			failed = f(i)
			if poll.Pause(ctx, between) != nil {
				return
			}
		}
	})
	return func() error {
		cancel()
		done.Wait()
		return failed
	}
}
