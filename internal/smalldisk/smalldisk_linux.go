// Package smalldisk gives tests a disk that is really full when they say so, on any machine.
//
// The body of a test runs in a child process (the test binary again): on a small tmpfs in a mount namespace of its own, and once more in a
// plain directory under a limit on the size of files, which needs no privilege. Where the machine forbids mounts the second one stands
// alone, and the log says so.
package smalldisk

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	envDir  = "CROSSFADE_SMALL_DISK"
	envKind = "CROSSFADE_SMALL_DISK_KIND"
	// noMount is what the child prints where it may not mount.
	noMount = "mounts are forbidden here"
)

// Disk is a directory whose disk can be full.
type Disk struct {
	Dir     string
	Fill    func() // from now on no file can grow
	Release func() // until now
}

// Run runs body on small disks. It is the whole of a top-level test.
func Run(t *testing.T, body func(*testing.T, Disk)) {
	dir := os.Getenv(envDir)
	switch os.Getenv(envKind) {
	case "tmpfs":
		body(t, tmpfs(t, dir))
	case "limit":
		body(t, limited(t, dir))
	default:
		t.Run("tmpfs", func(t *testing.T) { onTmpfs(t) })
		t.Run("limit", func(t *testing.T) {
			if out, err := child(t, "limit", 0); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// RunMounted is Run on the tmpfs alone, for a body that starts other programs: their limits are their own. Where mounts are forbidden it
// runs nothing, and the log says so.
func RunMounted(t *testing.T, body func(*testing.T, Disk)) {
	if os.Getenv(envKind) == "tmpfs" {
		body(t, tmpfs(t, os.Getenv(envDir)))
		return
	}
	onTmpfs(t)
}

// onTmpfs runs the child in a mount namespace: as root, else as root of a user namespace.
func onTmpfs(t *testing.T) {
	for _, flags := range []uintptr{syscall.CLONE_NEWNS, syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER} {
		out, err := child(t, "tmpfs", flags)
		forbidden := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || strings.Contains(out, noMount)
		if err == nil {
			return
		}
		if !forbidden {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	t.Logf("%s: the tmpfs is not tried", noMount)
}

// child runs the test of t's parent in a process of its own.
func child(t *testing.T, kind string, flags uintptr) (output string, err error) {
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), envKind+"="+kind, envDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	b, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(b), "--- PASS: "+name) {
		err = errors.New("the child did not run the test")
	}
	return string(b), err
}

// tmpfs mounts 2 MiB and fills it with a file.
func tmpfs(t *testing.T, dir string) Disk {
	err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("none", dir, "tmpfs", 0, "size=2m")
	}
	if err != nil {
		t.Fatalf("%s: %v", noMount, err)
	}
	ballast := filepath.Join(dir, "ballast")
	return Disk{
		Dir: dir,
		Fill: func() {
			f, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(f, zeros{})
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("filling the disk ended with %v", err)
			}
			f.Close()
		},
		Release: func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// limited bounds the size of the process's files to that of the largest one in the directory.
func limited(t *testing.T, dir string) Disk {
	signal.Ignore(syscall.SIGXFSZ) // the write fails with EFBIG instead
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		t.Fatal(err)
	}
	set := func(cur uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: cur, Max: free.Max}); err != nil {
			t.Fatal(err)
		}
	}
	return Disk{
		Dir:     dir,
		Fill:    func() { set(largest(t, dir)) },
		Release: func() { set(free.Cur) },
	}
}

func largest(t *testing.T, dir string) uint64 {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n = max(n, info.Size())
	}
	return uint64(n)
}
