package diskfault

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	envProgram = "CROSSFADE_DISK_OF"
	envSocket  = "CROSSFADE_DISK_REPORTS"
)

// Become makes this process the program of a [Disk], if it was started as one. Else it returns.
func Become() {
	program := os.Getenv(envProgram)
	if program == "" {
		return
	}
	runtime.LockOSThread() // the filter is this thread's, which becomes the program
	err := handOver(os.Getenv(envSocket))
	if err == nil {
		err = errors.Join(os.Unsetenv(envProgram), os.Unsetenv(envSocket))
	}
	if err == nil {
		err = syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintf(os.Stderr, "diskfault: %s: %v\n", program, err)
	os.Exit(1)
}

// handOver filters the calls of this thread, and gives the reports to whoever listens at the socket.
func handOver(socket string) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		return err
	}
	defer conn.Close()
	fd, err := filter()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, _, err = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil)
	return err
}

// receive takes the reports that a process hands over.
func receive(conn *net.UnixConn) (fd int, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(errors.New("no reports were handed over"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, errors.Join(errors.New("no reports were handed over"), err)
	}
	return fds[0], nil
}

// Supported says whether the kernel reports calls to a process without privilege: nil, or why not.
func Supported() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its filter
		fd, err := filter()
		if err == nil {
			err = unix.Close(fd)
		}
		done <- err
	}()
	return <-done
}

// filter makes the kernel report the calls that can hang or fail, of this thread and of what it becomes.
func filter() (fd int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no_new_privs: %w", err)
	}
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE}
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call is at offset 0
	for i, call := range calls {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(calls) - i)})
	}
	code = append(code,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("seccomp: %w", errno)
	}
	return int(r), nil
}

// notification is struct seccomp_notif.
type notification struct {
	id     uint64
	thread uint32
	flags  uint32
	call   int32
	arch   uint32
	at     uint64
	args   [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// report is a call that waits for an answer.
type report struct {
	fd     int
	id     uint64
	thread uint32
	call   int32
	args   [6]uint64
}

var errEnded = errors.New("the program has ended")

// wait waits a while for a report.
func wait(fd int) (ready bool, err error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 50)
	switch {
	case errors.Is(err, unix.EINTR) || err == nil && n == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("poll: %w", err)
	case fds[0].Revents&unix.POLLIN != 0:
		return true, nil
	}
	return false, errEnded
}

// next takes a report; none if its process was killed meanwhile.
func next(fd int) (r report, ok bool, err error) {
	var n notification
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
	switch errno {
	case 0:
		return report{fd: fd, id: n.id, thread: n.thread, call: n.call, args: n.args}, true, nil
	case unix.ENOENT, unix.EINTR:
		return r, false, nil
	}
	return r, false, fmt.Errorf("take a report: %w", errno)
}

// answer lets the call go on, or fail. Nobody minds if its process is gone, or has been interrupted and asks again.
func (r report) answer(errno unix.Errno) error {
	out := response{id: r.id, errno: -int32(errno)}
	if errno == 0 {
		out.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&out)))
	if failed != 0 && failed != unix.ENOENT {
		return fmt.Errorf("answer a report: %w", failed)
	}
	return nil
}

// grows says whether an ftruncate makes its file longer.
func (r report) grows() bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", r.thread, int32(r.args[0])))
	return err == nil && int64(r.args[1]) > info.Size()
}
