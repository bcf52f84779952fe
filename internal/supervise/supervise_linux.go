package supervise

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
)

// self is this program as it runs, whatever has become of its file since: parent and child are of one build.
func self() (string, error) { return "/proc/self/exe", nil }

// killFirst is the child's oom_score_adj: where the whole machine has no memory left, the kernel ends the child rather than its parent.
const killFirst = "500"

// giveWay makes all threads of a process less urgent than others. It has a process group of its own, see package child: of a process, the kernel
// would take the first thread only.
func giveWay(pid, nice int) error {
	if nice == 0 {
		return nil
	}
	if err := syscall.Setpriority(syscall.PRIO_PGRP, pid, nice); err != nil {
		return fmt.Errorf("set its priority: %w", err)
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(killFirst), 0)
}

// resident is how many bytes of memory a process has. It is not known of one that has ended.
func resident(pid int) (size int64, known bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	return vmRSS(status)
}

// vmRSS reads the line "VmRSS:	   12345 kB".
func vmRSS(status []byte) (size int64, known bool) {
	for line := range bytes.Lines(status) {
		rest, is := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !is {
			continue
		}
		digits, unit := bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if !unit || err != nil || n < 0 || n > math.MaxInt64>>10 {
			return 0, false
		}
		return n << 10, true
	}
	return 0, false
}
