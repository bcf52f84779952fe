package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAChildWithTooMuchMemoryIsKilled(t *testing.T) {
	read, write := pipe(t)
	_, log := supervised(t, Config{Args: []string{"eat"}, Files: []*os.File{write}, Memory: 200 << 20})
	first := line(t, read)
	if second := line(t, read); second == first {
		t.Errorf("the same process again: %s", second)
	}
	if !strings.Contains(log.String(), `how="signal: killed: it had `) || !strings.Contains(log.String(), "MiB of memory, of at most 200") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestMemoryBelowTheLimitIsLeftAlone(t *testing.T) {
	read, write := pipe(t)
	p, log := supervised(t, Config{Args: []string{"eat"}, Files: []*os.File{write}, Memory: 4 << 30})
	line(t, read)
	await(t, "the memory", func() bool { size, known := resident(p.PID()); return known && size >= 400<<20 })
	if strings.Contains(log.String(), "killed") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestAChildEndsWithItsParent also where the parent is killed.
func TestAChildEndsWithItsParent(t *testing.T) {
	read, write := pipe(t)
	parent := exec.Command(os.Args[0], "parent")
	parent.ExtraFiles = []*os.File{write}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(line(t, read))
	if err == nil && !alive(pid) {
		t.Errorf("process %d has ended before its parent", pid)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the child", func() bool { return !alive(pid) })
}

// alive says whether a process runs: one that nobody has asked for its end does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func TestAllThreadsOfAChildGiveWay(t *testing.T) {
	read, write := pipe(t)
	p, _ := supervised(t, Config{Args: []string{"wait"}, Files: []*os.File{write}, Nice: 5})
	line(t, read)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(rest)[16]; nice != "5" {
			t.Errorf("%s: nice %s", thread, nice)
		}
	}
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.PID()))
	if err != nil || strings.TrimSpace(string(score)) != killFirst {
		t.Errorf("oom_score_adj %s, %v", score, err)
	}
}

func TestVmRSS(t *testing.T) {
	for text, want := range map[string]int64{
		"Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  12345 kB\nRssAnon:\t 1 kB\n": 12345 << 10,
		"VmRSS:\t0 kB\n":                     0,
		"Name:\tx\n":                         -1, // a zombie has none
		"VmRSS:\t 12 MB\n":                   -1,
		"VmRSS:\t -12 kB\n":                  -1,
		"VmRSS:\t 9223372036854775807 kB\n":  -1,
		"VmRSS:\t 92233720368547758079 kB\n": -1,
		"VmRSS:\n":                           -1,
	} {
		got, known := vmRSS([]byte(text))
		if !known {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzVmRSS(f *testing.F) {
	f.Add([]byte("VmRSS:\t  12345 kB\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		if size, known := vmRSS(status); size < 0 || !known && size != 0 {
			t.Errorf("%q: %d, %v", status, size, known)
		}
	})
}
