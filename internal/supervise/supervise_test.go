package supervise

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// deadline is how long anything may take here.
const deadline = 30 * time.Second

// TestMain makes the binary of the tests a child, or a parent of one, where its arguments say so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if act := acts()[os.Args[1]]; act != nil {
			act()
			return
		}
	}
	os.Exit(m.Run())
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// supervised starts a child of this test that does what is asked of it, and stops it at the end of the test.
func supervised(t *testing.T, c Config) (*Process, *logged) {
	t.Helper()
	log := &logged{}
	c.Name, c.Log, c.Stderr = "toy", slog.New(slog.NewTextHandler(log, nil)), os.Stderr
	p := Start(t.Context(), c)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("the log:\n%s", log)
		}
	})
	return p, log
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := poll.Until(ctx, 2*time.Millisecond, poll.True(ok)); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// pipe is a pair of files of which a child gets the second; what it writes there is in lines.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

// line reads one line that a child wrote.
func line(t *testing.T, f *os.File) string {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for one := make([]byte, 1); ; out = append(out, one[0]) {
		if _, err := f.Read(one); err != nil {
			t.Fatalf("a child wrote %q, and then: %v", out, err)
		}
		if one[0] == '\n' {
			return string(out)
		}
	}
}

func TestAKilledChildIsStartedAgain(t *testing.T) {
	read, write := pipe(t)
	p, log := supervised(t, Config{Args: []string{"wait"}, Files: []*os.File{write}})
	seen := map[string]bool{}
	for range 3 {
		pid := line(t, read)
		n, err := strconv.Atoi(pid)
		if err != nil || seen[pid] {
			t.Fatalf("the child says %q, seen before %v", pid, seen)
		}
		seen[pid] = true
		await(t, "the process id", func() bool { return p.PID() == n })
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	line(t, read)
	if got := strings.Count(log.String(), `how="signal: killed"`); got != 3 {
		t.Errorf("the log names %d kills of 3:\n%s", got, log)
	}
}

func TestAChildThatEndsAtOnceIsStartedLessAndLessOften(t *testing.T) {
	began := time.Now()
	_, log := supervised(t, Config{Args: []string{"fail"}})
	await(t, "four restarts", func() bool { return strings.Count(log.String(), "was started") == 5 })
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("four restarts came within %v, want at least 0.1 + 0.2 + 0.4 + 0.8 s", took)
	}
	for _, want := range []string{`how="exit status 3" in=100ms`, "in=200ms", "in=400ms", "in=800ms"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

func TestWaitsAreDoubledUpToABoundUntilTheChildWasHealthy(t *testing.T) {
	wait := time.Duration(0)
	for i, want := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if wait = nextWait(wait, time.Second); wait != want*time.Millisecond {
			t.Errorf("restart %d waits %v, want %v", i, wait, want*time.Millisecond)
		}
	}
	if got := nextWait(wait, healthy); got != firstWait {
		t.Errorf("after a healthy life it waits %v", got)
	}
}

func TestStopEndsTheChildInOrder(t *testing.T) {
	read, write := pipe(t)
	p, log := supervised(t, Config{Args: []string{"orderly"}, Files: []*os.File{write}})
	line(t, read)
	p.Stop()
	if got := line(t, read); got != "goodbye" {
		t.Errorf("the child says %q", got)
	}
	if p.PID() != 0 || strings.Contains(log.String(), "has ended") {
		t.Errorf("pid %d, the log:\n%s", p.PID(), log)
	}
	p.Stop() // again
	(*Process)(nil).Stop()
}

func TestTheEndOfTheContextIsAStop(t *testing.T) {
	read, write := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := Start(ctx, Config{Name: "toy", Args: []string{"orderly"}, Files: []*os.File{write}, Log: slog.New(slog.DiscardHandler)})
	line(t, read)
	cancel()
	<-p.ended
	if got := line(t, read); got != "goodbye" {
		t.Errorf("the child says %q", got)
	}
}

func TestAChildThatDoesNotStopIsKilled(t *testing.T) {
	read, write := pipe(t)
	p, log := supervised(t, Config{Args: []string{"deaf"}, Files: []*os.File{write}, Grace: 200 * time.Millisecond})
	pid, err := strconv.Atoi(line(t, read))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.Stop()
	if took := time.Since(began); took < 200*time.Millisecond || !strings.Contains(log.String(), "did not end in time") {
		t.Errorf("after %v it has stopped; the log:\n%s", took, log)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is still there", pid)
	}
}

func TestStopWhileARestartWaits(t *testing.T) {
	p, log := supervised(t, Config{Args: []string{"fail"}})
	await(t, "a restart that waits for long", func() bool { return strings.Contains(log.String(), "in=800ms") })
	began := time.Now()
	p.Stop()
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if got := strings.Count(log.String(), "was started"); got != 4 {
		t.Errorf("%d starts, want 4", got)
	}
}

// TestWhatCannotBeStartedIsTriedAgain: a machine out of processes or memory at the first start is not the end of the parent.
func TestWhatCannotBeStartedIsTriedAgain(t *testing.T) {
	p, log := supervised(t, Config{Args: []string{"a\x00b"}})
	await(t, "another try", func() bool { return strings.Count(log.String(), "cannot be started; it is tried again") == 2 })
	if said := log.String(); p.PID() != 0 || !strings.Contains(said, "start toy") || !strings.Contains(said, "in=200ms") || strings.Contains(said, "has ended") {
		t.Errorf("pid %d, the log:\n%s", p.PID(), said)
	}
}

func TestAChildHasTheVariablesThatItIsGivenOnly(t *testing.T) {
	t.Setenv("TOY_SECRET", "x")
	for _, env := range [][]string{nil, {"TOY=1"}} {
		read, write := pipe(t)
		supervised(t, Config{Args: []string{"variables"}, Env: env, Files: []*os.File{write}})
		if got, want := line(t, read), strings.Join(env, " "); got != want {
			t.Errorf("it has %q, want %q", got, want)
		}
	}
}
