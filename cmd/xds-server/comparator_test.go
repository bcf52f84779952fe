package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/experiment"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// desk is a control plane for comparators that has no experiments.
type desk struct {
	crossfadev1.UnimplementedComparatorServiceServer
	address string
	hellos  chan *crossfadev1.ComparatorHello
	tokens  chan []string // with each hello
	byes    chan struct{}
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{hellos: make(chan *crossfadev1.ComparatorHello, 16), tokens: make(chan []string, 16), byes: make(chan struct{}, 16)}
	ln := listenHere(t)
	d.address = ln.Addr().String()
	s := grpc.NewServer()
	crossfadev1.RegisterComparatorServiceServer(s, d)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

func listenHere(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// Work answers whatever it is told with an order that holds for a minute.
func (d *desk) Work(stream grpc.BidiStreamingServer[crossfadev1.WorkRequest, crossfadev1.WorkResponse]) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h := m.GetHello(); h != nil {
			d.hellos <- h
			d.tokens <- metadata.ValueFromIncomingContext(stream.Context(), experiment.TokenHeader)
		}
		if m.GetCounts().GetGoodbye() {
			d.byes <- struct{}{}
		}
		if err := stream.Send(&crossfadev1.WorkResponse{Lease: durationpb.New(time.Minute), Sequence: m.GetCounts().GetSequence()}); err != nil {
			return err
		}
	}
}

// hears waits for a word from a comparator.
func hears[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(deadline):
		t.Fatalf("no %s", what)
		panic("not reached")
	}
}

// welcomes waits until a comparator says that copies are welcome.
func welcomes(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	err := poll.Until(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+policy.ComparatorReadyPath, nil)
		if err != nil {
			return err
		}
		ask.Close = true
		resp, err := http.DefaultClient.Do(ask)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("the comparator at %s: %v", address, err)
	}
}

func TestAComparatorFromStartToEnd(t *testing.T) {
	d := newDesk(t)
	file := filepath.Join(t.TempDir(), "ready.json")
	write(t, file, "of one that was killed")
	p := command(t, []string{tokenVariable + "=t0ken"}, "--role", "comparator", "--dev", "--server", d.address, "--comparator-listen", net.JoinHostPort(loopback.Host(), "0"), "--ready-file", file)
	p.begin()
	var said map[string]any
	p.await("the ready file", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &said) == nil
	})
	if keys := slices.Sorted(maps.Keys(said)); !slices.Equal(keys, []string{"comparator", "pid", "version"}) || said["pid"] != float64(p.Process.Pid) {
		t.Errorf("the ready file says %v", said)
	}
	address, _ := said["comparator"].(string)
	if h := hears(t, "hello", d.hellos); h.GetAddress() != address || h.GetVersion() != said["version"] {
		t.Errorf("hello %v, the ready file says %v", h, said)
	}
	welcomes(t, address)
	p.signal(syscall.SIGTERM)
	if exit := p.exit(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	hears(t, "goodbye", d.byes)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the ready file after the end: %v", err)
	}
}

func TestAComparatorWhosePortIsTaken(t *testing.T) {
	taken := listenHere(t)
	p := command(t, []string{tokenVariable + "=t0ken"}, "--role", "comparator", "--dev", "--server", "127.0.0.1:1", "--comparator-listen", taken.Addr().String())
	if exit := p.runs(); exit != 1 || !strings.Contains(p.stderr.String(), "--comparator-listen") || !strings.Contains(p.stderr.String(), "the port is in use") {
		t.Errorf("exit %d, it says\n%s", exit, p.stderr)
	}
}

func TestADescriptorThatIsNoListener(t *testing.T) {
	p := command(t, []string{tokenVariable + "=t0ken"}, "--role", "comparator", "--dev", "--server", "127.0.0.1:1", "--comparator-fd", "99")
	if exit := p.runs(); exit != 1 || !strings.Contains(p.stderr.String(), "--comparator-fd") || !strings.Contains(p.stderr.String(), "is no listener") {
		t.Errorf("exit %d, it says\n%s", exit, p.stderr)
	}
}

// TestTheChildOfAServerComesBackAtItsAddress after a kill, and ends with a goodbye.
func TestTheChildOfAServerComesBackAtItsAddress(t *testing.T) {
	t.Setenv("CROSSFADE_SERVER", "127.0.0.1:1") // shadowctl's: not for the child
	d, ln := newDesk(t), listenHere(t)
	p := startComparator(t.Context(), &config{comparatorChild: true, token: newSecret("t0ken"), logFormat: "text", advertise: "control.test"}, ln, d.address, slog.New(slog.DiscardHandler))
	defer p.Stop()
	address := ln.Addr().String()
	seen := map[string]bool{}
	for range 2 {
		h := hears(t, "hello", d.hellos)
		if h.GetAddress() != address || seen[h.GetInstance()] {
			t.Errorf("hello %v at %s, before it %v", h, address, seen)
		}
		seen[h.GetInstance()] = true
		welcomes(t, address)
		if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	hears(t, "hello", d.hellos)
	p.Stop()
	hears(t, "goodbye", d.byes)
}

// TestAnAddressElsewhereIsNotThatOfTheChild: copies do not leave the machine until there is TLS.
func TestAnAddressElsewhereIsNotThatOfTheChild(t *testing.T) {
	d, ln := newDesk(t), listenHere(t)
	p := startComparator(t.Context(), &config{comparatorChild: true, token: newSecret("t0ken"), logFormat: "json", advertise: "10.0.0.7"}, ln, d.address, slog.New(slog.DiscardHandler))
	defer p.Stop()
	if h := hears(t, "hello", d.hellos); h.GetAddress() != ln.Addr().String() {
		t.Errorf("hello %v", h)
	}
}

func TestTheAddressOfTheServerIsThatOfItsChild(t *testing.T) {
	d, ln := newDesk(t), listenHere(t)
	p := startComparator(t.Context(), &config{comparatorChild: true, token: newSecret("t0ken"), logFormat: "json", advertise: "127.9.9.9"}, ln, d.address, slog.New(slog.DiscardHandler))
	defer p.Stop()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if h := hears(t, "hello", d.hellos); h.GetAddress() != "127.9.9.9:"+port {
		t.Errorf("hello %v", h)
	}
	if got := hears(t, "token", d.tokens); len(got) != 1 || got[0] != "Bearer t0ken" {
		t.Errorf("token %q", got)
	}
}

func TestComparatorsElsewhere(t *testing.T) {
	if p := startComparator(t.Context(), &config{}, nil, "", nil); p != nil {
		t.Errorf("%v", p)
	}
	p := launch(t, filepath.Join(t.TempDir(), "data"), "--comparator-child=false")
	if p.ready.Comparator != "" || p.ready.API == "" || strings.Contains(p.stderr.String(), "child process") {
		t.Errorf("ready: %+v", p.ready)
	}
}
