// Package diskfault breaks the disk of a whole program while it runs: its fsync does not come back, or its files cannot grow.
//
// The program is the real one and knows nothing of it. The test binary is started in its place, asks the kernel to report some of its
// calls (seccomp user notification: no privilege is needed, and children inherit it over execve), gives the reports to the test and
// becomes the program. Each fsync, fdatasync and ftruncate then waits for the test's word, which is mostly to go on. So a container
// without rights tests what else takes a block device. Where even that is forbidden, [Supported] says so.
//
// TestMain of a package that uses it begins with [Become].
package diskfault

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// Disk is that of the programs that are started with its [Disk.Binary] and [Disk.Env].
type Disk struct {
	program string
	reports *net.UnixListener
	done    chan struct{}
	serving sync.WaitGroup

	mu     sync.Mutex
	hangs  bool
	spare  int // fsyncs that come back before it hangs
	full   bool
	held   []report // that hang
	broken error
}

// New returns a disk for a program, which works until something else is said. It ends with the test, after the programs that use it.
func New(t *testing.T, program string) *Disk {
	t.Helper()
	d := &Disk{program: program, done: make(chan struct{})}
	address := &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@crossfade-disk-%d-%d", os.Getpid(), monotime.Now())}
	var err error
	if d.reports, err = net.ListenUnix("unix", address); err != nil {
		t.Fatal(err)
	}
	d.serving.Go(d.accept)
	t.Cleanup(func() {
		close(d.done)
		d.reports.Close()
		d.serving.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.broken != nil {
			t.Errorf("the disk: %v", d.broken)
		}
	})
	return d
}

// Binary is what to start instead of the program, with its arguments and [Disk.Env].
func (d *Disk) Binary() (string, error) { return os.Executable() }

// Env are variables for it.
func (d *Disk) Env() []string {
	return []string{envProgram + "=" + d.program, envSocket + "=" + d.reports.Addr().String()}
}

// Hang makes fsync hang, but for the next few.
func (d *Disk) Hang(spare int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs, d.spare = true, spare
}

// Fill makes files unable to grow: as on a full disk, what has its blocks can be written.
func (d *Disk) Fill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = true
}

// Hanging is how many fsyncs hang now.
func (d *Disk) Hanging() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held)
}

// Release makes it work again, and what hangs come back.
func (d *Disk) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs, d.full = false, false
	for _, r := range d.held {
		d.note(r.answer(0))
	}
	d.held = nil
}

// accept takes the reports of each program that is started.
func (d *Disk) accept() {
	for {
		conn, err := d.reports.AcceptUnix()
		if err != nil {
			return // closed
		}
		d.serving.Go(func() {
			fd, err := receive(conn)
			conn.Close()
			if err == nil {
				err = d.serve(fd)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.note(err)
			d.held = slices.DeleteFunc(d.held, func(r report) bool { return r.fd == fd })
			unix.Close(fd)
		})
	}
}

// note keeps the first error. The disk's lock is held.
func (d *Disk) note(err error) {
	if d.broken == nil {
		d.broken = err
	}
}

// serve answers the reports of one program until it has ended.
func (d *Disk) serve(fd int) error {
	for {
		select {
		case <-d.done:
			return nil
		default:
		}
		ready, err := wait(fd)
		switch {
		case errors.Is(err, errEnded):
			return nil
		case err != nil:
			return err
		case !ready:
			continue
		}
		r, ok, err := next(fd)
		if err != nil {
			return err
		}
		if ok {
			if err := d.decide(r); err != nil {
				return err
			}
		}
	}
}

// decide answers a report, or keeps it.
func (d *Disk) decide(r report) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.call == unix.SYS_FTRUNCATE {
		if d.full && r.grows() {
			return r.answer(unix.ENOSPC)
		}
		return r.answer(0)
	}
	switch {
	case !d.hangs:
		return r.answer(0)
	case d.spare > 0:
		d.spare--
		return r.answer(0)
	}
	d.held = slices.DeleteFunc(d.held, func(old report) bool { return old.thread == r.thread }) // it was interrupted and asks again
	d.held = append(d.held, r)
	return nil
}
