// Package e2e tests whole Crossfades: the real binary, real Envoys, and origins whose logs are the truth.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/diskfault"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

var binary, shadowctl string

func TestMain(m *testing.M) {
	diskfault.Become()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "crossfade-e2e-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if binary, err = stack.Build(context.Background(), dir, "xds-server"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if shadowctl, err = stack.Build(context.Background(), dir, "shadowctl"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// world is a Crossfade with two origins and a service port.
type world struct {
	*stack.Stack
	t        *testing.T
	ecs, eks *origin.Origin
	port     int
}

// failures returns two lines of each kind of error, by service and flags, of those that a proxy logged.
func failures(log string) string {
	var out strings.Builder
	seen := map[[2]string]int{}
	for line := range strings.Lines(log) {
		var request struct {
			Service, Flags string
			Status         int
		}
		if json.Unmarshal([]byte(line), &request) != nil || request.Status < 500 {
			continue
		}
		if kind := [2]string{request.Service, request.Flags}; seen[kind] < 2 {
			seen[kind]++
			out.WriteString(line)
		}
	}
	return out.String()
}

// newWorld starts a control plane and proxies of one Envoy version.
func newWorld(t *testing.T, version string, proxies int) *world {
	t.Helper()
	return newWorldOf(t, version, proxies, func(*stack.Config) {})
}

// newWorldOf is newWorld with something changed.
func newWorldOf(t *testing.T, version string, proxies int, change func(*stack.Config)) *world {
	t.Helper()
	w := &world{t: t, port: envoytest.Port(t).Number()}
	log, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	c := stack.Config{Binary: binary, Envoy: envoytest.Binary(t, version), Dir: t.TempDir(), Log: log}
	change(&c)
	s, err := stack.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			if b, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("the control plane printed last:\n%s", b[max(0, len(b)-8000):])
			}
			logs, _ := filepath.Glob(filepath.Join(c.Dir, "*.log"))
			for _, name := range logs {
				if b, err := os.ReadFile(name); err == nil {
					t.Logf("%s has errors, for example:\n%s", filepath.Base(name), failures(string(b)))
				}
			}
		}
	})
	w.Stack = s
	w.ecs, w.eks = envoytest.Origin(w.t, "ecs"), envoytest.Origin(w.t, "eks")
	for range proxies {
		if _, err := s.AddProxy(t.Context(), "default", 1); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// ready waits until every proxy has its first configuration.
func (w *world) ready() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for _, p := range w.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

// service is a document with both origins.
func (w *world) service(name, protocol string, eks int32) *crossfadev1.Document {
	static := func(o *origin.Origin) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: o.Name(), Protocol: protocol, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}},
		}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: int32(w.port)}, Origins: []*crossfadev1.Origin{static(w.ecs), static(w.eks)},
		Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}},
	}}}
}

func (w *world) apply(docs ...*crossfadev1.Document) {
	w.t.Helper()
	if _, err := w.API.Apply(w.t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		w.t.Fatal(err)
	}
}

// load sends requests for a service through every proxy until the returned function is called, which returns the sum of the reports.
func (w *world) load(service string, protocol loadgen.Protocol, rate float64) (stop func() *loadgen.Report) {
	w.t.Helper()
	var runs []*loadgen.Run
	for _, p := range w.Proxies {
		r, err := loadgen.Start(w.t.Context(), loadgen.Config{
			Target: fmt.Sprintf("%s:%d", p.Host, w.port), Protocol: protocol, Rate: rate / float64(len(w.Proxies)), Duration: 10 * time.Minute,
			Request: loadgen.Request{Host: service + ".test", Path: "/"}, Connections: 8,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		runs = append(runs, r)
	}
	var once sync.Once
	var sum *loadgen.Report
	stop = func() *loadgen.Report {
		once.Do(func() {
			for _, r := range runs {
				r.Stop()
			}
			for _, r := range runs {
				report := r.Wait()
				if sum == nil {
					sum = report
					continue
				}
				sum.Done += report.Done
				sum.Failed += report.Failed
				sum.OriginErrors += report.OriginErrors
				for reason, n := range report.Failures {
					sum.Failures[reason] += n
				}
				for o, n := range report.ByOrigin {
					sum.ByOrigin[o] += n
				}
			}
		})
		return sum
	}
	w.t.Cleanup(func() { stop() })
	return stop
}

// noneFailed fails the test if a proxy failed a request, or nobody was asked.
func noneFailed(t *testing.T, r *loadgen.Report, least uint64) {
	t.Helper()
	if r.Failed > 0 {
		t.Errorf("%d of %d requests failed: %v", r.Failed, r.Done, r.Failures)
	}
	if r.Done < least {
		t.Errorf("only %d requests: the test saw too little", r.Done)
	}
}
