package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestTheChildOfAServerHasNoneOfItsSecrets, and is known by a name of its own.
func TestTheChildOfAServerHasNoneOfItsSecrets(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
	d := newDesk(t)
	p := startComparator(t.Context(), &config{comparatorChild: true, token: newSecret("t0ken"), logFormat: "text"}, listenHere(t), d.address, slog.New(slog.DiscardHandler))
	defer p.Stop()
	hears(t, "hello", d.hellos)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	variables := strings.Split(strings.TrimRight(string(environ), "\x00"), "\x00")
	if strings.Contains(string(environ), "s3cr3t") || !slices.Contains(variables, "GOMEMLIMIT=512MiB") {
		t.Errorf("its variables are %q", variables)
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID())); err != nil || string(comm) != "xds-comparator\n" {
		t.Errorf("it is called %q, %v", comm, err)
	}
}

// TestAKilledServerTakesItsComparatorAlong, so that the next one gets the address.
func TestAKilledServerTakesItsComparatorAlong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, dir)
	started := regexp.MustCompile(`msg="a child process was started" child=comparator pid=(\d+)`)
	var found []string
	p.await("a comparator", func() bool { found = started.FindStringSubmatch(p.stderr.String()); return found != nil })
	welcomes(t, p.ready.Comparator)
	p.signal(syscall.SIGKILL)
	<-p.ended
	again := launch(t, dir, "--comparator-listen", p.ready.Comparator) // beats the port of launch
	welcomes(t, again.ready.Comparator)
	if stat, err := os.ReadFile("/proc/" + found[1] + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the first comparator is still there: %s", stat)
	}
}
