package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// said is what a command did.
type said struct {
	args     []string
	exit     int
	out, err string
}

// ctl runs shadowctl.
func (w *world) ctl(args ...string) said {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), shadowctl, append([]string{"--server", w.Server.API}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return said{args, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want fails the test if the command ended otherwise, or lacks words.
func (s said) want(t *testing.T, exit int, words ...string) {
	t.Helper()
	ok := s.exit == exit
	for _, word := range words {
		ok = ok && strings.Contains(s.out+s.err, word)
	}
	if !ok {
		t.Fatalf("shadowctl %s: exit %d, want %d with %q\n%s%s", strings.Join(s.args, " "), s.exit, exit, words, s.out, s.err)
	}
}

// newest is the last revision of a service.
func (w *world) newest(service string) *crossfadev1.Revision {
	w.t.Helper()
	page, err := w.API.ListHistory(w.t.Context(), &crossfadev1.ListHistoryRequest{Service: service, PageSize: 1})
	if err != nil || len(page.GetItems()) == 0 {
		w.t.Fatalf("history of %s: %v %v", service, page, err)
	}
	return page.GetItems()[0]
}

// share is the live weight of eks, in basis points.
func (w *world) share(service string) int32 {
	w.t.Helper()
	got, err := w.API.Get(w.t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: service})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetStatus().GetSplit()["eks"]
}

// back waits until every proxy is connected and has everything.
func (w *world) back() {
	w.t.Helper()
	w.await("every proxy to be back", func() bool {
		got, err := w.API.ListProxies(context.WithoutCancel(w.t.Context()), &crossfadev1.ListProxiesRequest{})
		n := 0
		for _, p := range got.GetItems() {
			if p.GetState() == "ok" {
				n++
			}
		}
		return err == nil && n == len(w.Proxies)
	})
}

// restart kills the control plane, starts it again, and waits for the proxies.
func (w *world) restart() {
	w.t.Helper()
	w.KillServer()
	if err := w.RestartServer(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.back()
}
