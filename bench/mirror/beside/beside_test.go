package beside

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

func TestChildIsFoundAndSignalled(t *testing.T) {
	p := Place{Server: os.Getpid}
	if pid := p.Comparator(); pid != 0 {
		t.Fatalf("found %d before there is one", pid)
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if pid := p.Comparator(); pid != cmd.Process.Pid {
		t.Errorf("found %d, want %d", pid, cmd.Process.Pid)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if pid := p.Comparator(); pid != 0 {
		t.Errorf("found %d after its end", pid)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("one that is down: %v", err)
	}
}

func TestStatesEnd(t *testing.T) {
	o, err := origin.Start(origin.Config{Name: "eks"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	childless := exec.CommandContext(t.Context(), "sleep", "60")
	if err := childless.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = childless.Wait() }()
	defer func() { _ = childless.Process.Kill() }()
	p := Place{Server: func() int { return childless.Process.Pid }, Candidate: o} // signals go nowhere
	for _, s := range p.States() {
		end, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(s, err)
		}
		if err := end(); err != nil {
			t.Error(s, err)
		}
	}
	if err := o.SetState(origin.Serving); err != nil {
		t.Error(err)
	}
}

func TestRepeatedlyEndsWithAnError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	last, wanted := make(chan int, 10), errors.New("no more")
	stop := Repeatedly(t.Context(), time.Microsecond, func(i int) error {
		last <- i
		if i == 3 {
			return wanted
		}
		return nil
	})
	err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return len(last) == 4 }))
	if got := stop(); err != nil || !errors.Is(got, wanted) {
		t.Error(got, err)
	}
}
