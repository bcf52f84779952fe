package hostile

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

var xdsServer, shadowctl string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "crossfade-hostile-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		for command, path := range map[string]*string{"xds-server": &xdsServer, "shadowctl": &shadowctl} {
			if *path, err = stack.Build(context.Background(), dir, command); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// either returns one number in CI, and another in full.
func either(quick, full int) int {
	if os.Getenv("CROSSFADE_FULL") != "" {
		return full
	}
	return quick
}

// together lets a test run beside others; not in full, where it measures and has the machine for itself.
func together(t *testing.T) {
	t.Helper()
	if os.Getenv("CROSSFADE_FULL") == "" {
		t.Parallel()
	}
}

// seeded returns a source of chance, and says how to have it again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("CROSSFADE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CROSSFADE_SEED=%d has it again", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// world is a control plane as a process of its own.
type world struct {
	*stack.Stack
	t   *testing.T
	log *kept
}

// kept is the end of what a process printed.
type kept struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// keepLog is how much of it, in bytes.
const keepLog = 1 << 20

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.b.Write(p)
	if over := k.b.Len() - keepLog; over > keepLog {
		k.b.Next(over)
	}
	return len(p), nil
}

func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.String()
}

// newWorld starts a control plane.
func newWorld(t *testing.T, change func(*stack.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &kept{}}
	c := stack.Config{Binary: xdsServer, Dir: t.TempDir(), Log: w.log}
	if change != nil {
		change(&c)
	}
	s, err := stack.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	w.Stack = s
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			text := w.log.String()
			t.Logf("the control plane printed last:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return w
}

// document is a service with two origins at addresses where nobody listens.
func document(name string, port int32, eks int32) *crossfadev1.Document {
	static := func(origin, address string) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: origin, Protocol: "http1", Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{address}},
		}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: port},
		Origins:  []*crossfadev1.Origin{static("ecs", "127.0.0.2:8080"), static("eks", "127.0.0.3:8080")},
		Split:    &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}},
	}}}
}

func (w *world) apply(docs ...*crossfadev1.Document) {
	w.t.Helper()
	if _, err := w.API.Apply(w.t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		w.t.Fatal(err)
	}
}

// dial opens a connection; it ends with the test.
func dial(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// proxy keeps a well-behaved proxy connected until the test ends.
func (w *world) proxy(id, fleet string) *deltaclient.Client {
	w.t.Helper()
	c := deltaclient.New(deltaclient.Config{ID: id, Fleet: fleet, ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	conn := dial(w.t, w.Server.XDS, deltaclient.DialOptions()...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = c.Run(ctx, conn)
			_ = poll.Pause(ctx, 50*time.Millisecond)
		}
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return c
}

// await waits for something that the control plane does.
func (w *world) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 20*time.Millisecond, poll.True(ok)); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// memory is what the process of the control plane takes, and what it took at most, in MiB.
func (w *world) memory() (now, peak int) {
	w.t.Helper()
	return w.status("VmRSS:") >> 10, w.status("VmHWM:") >> 10
}

// status is a number of /proc/PID/status.
func (w *world) status(field string) int {
	w.t.Helper()
	n := statusOf(w.Server.PID, field)
	if n < 0 {
		w.t.Fatal("the control plane is gone")
	}
	return n
}

// statusOf is a number of /proc/PID/status, -1 once the process is gone.
func statusOf(pid int, field string) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	_, rest, found := strings.Cut(string(b), field)
	if !found {
		return -1
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		return -1
	}
	return n
}

// descriptors is how many files and connections the control plane has open.
func (w *world) descriptors() int {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(w.Server.PID), "fd"))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(entries)
}

// beside changes a service again and again while something else happens, and has it acknowledged by a proxy.
type beside struct {
	took []time.Duration
	errs []error
}

// others begins to work beside what a test does: half of the calls are rollbacks. stop ends it, and returns how it went.
func (w *world) others(name string, port int32) (stop func() beside) {
	w.t.Helper()
	w.apply(document(name, port, 0))
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var b beside
	ended := make(chan struct{})
	conn := dial(w.t, w.Server.API)
	api := crossfadev1.NewCrossfadeServiceClient(conn)
	go func() {
		defer close(ended)
		for n := int32(0); ctx.Err() == nil; n++ {
			began := time.Now()
			o := &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Actor: name}
			var err error
			if n%2 == 0 {
				_, err = api.SetSplit(context.WithoutCancel(ctx), &crossfadev1.SetSplitRequest{Service: name, Weights: map[string]int32{"eks": 1 + n%5000}, Options: o})
			} else {
				_, err = api.Rollback(context.WithoutCancel(ctx), &crossfadev1.RollbackRequest{Service: name, Options: o})
			}
			if err != nil {
				b.errs = append(b.errs, err)
			} else {
				b.took = append(b.took, time.Since(began))
			}
			_ = poll.Pause(ctx, 20*time.Millisecond)
		}
	}()
	var once sync.Once
	stop = func() beside {
		once.Do(func() { cancel(); <-ended })
		return b
	}
	w.t.Cleanup(func() { stop() })
	return stop
}

// unaffected fails the test if others were refused, or gave up, which they do after 10 s. That they waited for less than p99 is asked of the full form alone,
// which has the machine for itself.
func (b beside) unaffected(t *testing.T, least int, p99 time.Duration) {
	t.Helper()
	if len(b.errs) > 0 {
		t.Errorf("%d calls of others failed, the first: %v", len(b.errs), b.errs[0])
	}
	if len(b.took) < least {
		t.Fatalf("only %d calls of others: the test saw too little", len(b.took))
	}
	slices.Sort(b.took)
	at := func(q float64) time.Duration {
		return b.took[int(q*float64(len(b.took)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%d changes of others meanwhile, acknowledged by a proxy: p50 %v, p99 %v, max %v", len(b.took), at(0.5), at(0.99), at(1))
	if at(0.99) > p99 && os.Getenv("CROSSFADE_FULL") != "" {
		t.Errorf("others waited for their changes: p99 %v, at most %v", at(0.99), p99)
	}
}
