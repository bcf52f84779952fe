package diskfault

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// asProgram makes the test binary a program that makes a file so long, and fsyncs it.
const asProgram = "CROSSFADE_DISK_TEST_FILE"

func TestMain(m *testing.M) {
	Become()
	if path := os.Getenv(asProgram); path != "" {
		os.Exit(program(path, os.Args[1]))
	}
	os.Exit(m.Run())
}

func program(path, length string) int {
	n, err := strconv.ParseInt(length, 10, 64)
	if err != nil {
		return 3
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 3
	}
	if err := f.Truncate(n); errors.Is(err, syscall.ENOSPC) {
		return 2
	} else if err != nil {
		return 3
	}
	if f.Sync() != nil {
		return 3
	}
	return 0
}

// start starts a program with a disk.
func start(t *testing.T, d *Disk, path string, length int) *exec.Cmd {
	t.Helper()
	self, err := d.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, strconv.Itoa(length))
	cmd.Env = append(append(os.Environ(), asProgram+"="+path), d.Env()...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func exit(cmd *exec.Cmd) int {
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// disk is a disk of the program above, nil where the kernel does not let us.
func disk(t *testing.T) (*Disk, string) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Logf("not here: %v", err)
		return nil, ""
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(t, self), filepath.Join(t.TempDir(), "file")
}

func TestFill(t *testing.T) {
	d, path := disk(t)
	if d == nil {
		return
	}
	for _, step := range []struct {
		full         bool
		length, want int
	}{{false, 1000, 0}, {true, 2000, 2}, {true, 1000, 0}, {true, 500, 0}, {false, 2000, 0}} {
		d.Release()
		if step.full {
			d.Fill()
		}
		if got := exit(start(t, d, path, step.length)); got != step.want {
			t.Errorf("full %v, to %d bytes: exit %d, want %d", step.full, step.length, got, step.want)
		}
	}
}

func TestHang(t *testing.T) {
	d, path := disk(t)
	if d == nil {
		return
	}
	await := func(n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return d.Hanging() == n })); err != nil {
			t.Fatalf("%d calls hang, want %d", d.Hanging(), n)
		}
	}
	d.Hang(1)
	if got := exit(start(t, d, path, 1)); got != 0 {
		t.Fatalf("the spare one: exit %d", got)
	}
	one, two := start(t, d, path, 1), start(t, d, path, 1)
	await(2)
	_ = one.Process.Kill()
	if got := exit(one); got != -1 {
		t.Errorf("killed: exit %d", got)
	}
	await(1)
	d.Release()
	if got := exit(two); got != 0 || d.Hanging() != 0 {
		t.Errorf("released: exit %d, %d hang", got, d.Hanging())
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	if Supported() != nil {
		return
	}
	d := New(t, "/nonexistent")
	cmd := start(t, d, "", 0)
	if got := exit(cmd); got != 1 {
		t.Errorf("exit %d", got)
	}
}
