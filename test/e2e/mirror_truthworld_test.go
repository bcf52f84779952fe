package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/internal/truth"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// lab is a Crossfade with experiments of which the truth is known.
type lab struct {
	*world
	seed  uint64
	all   []*examined
	rates map[*examined]float64 // of live requests, per second
}

// examined is one experiment on a service of its own.
type examined struct {
	name   string
	truth  *truth.Truth
	part   truth.Part
	pairs  int64 // of each endpoint, that are enough
	grpc   *crossfadev1.MirrorGrpc
	report *crossfadev1.MirrorReport
}

// planted are the places that a report has to name.
func (e *examined) planted() []shadowtest.Place {
	if e.grpc == nil {
		return truth.Undescribed(e.truth.Planted(e.part))
	}
	return e.truth.Planted(e.part)
}

func newLab(t *testing.T, version string) *lab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, []byte("mirrors: {maxRps: 50000}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &lab{world: newWorldOf(t, version, 1, func(c *stack.Config) { c.File = file }), seed: rand.Uint64(), rates: map[*examined]float64{}}
	t.Logf("seed %d", l.seed)
	return l
}

func (l *lab) truth(c truth.Config) *truth.Truth {
	l.t.Helper()
	c.Seed = l.seed + uint64(len(l.all))
	tr, err := truth.Start(c)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(tr.Close)
	return tr
}

// examine adds an experiment on a part of a truth, under a load of its own.
func (l *lab) examine(name string, tr *truth.Truth, part truth.Part, pairs int64, rate float64) *examined {
	e := &examined{name: name, truth: tr, part: part, pairs: pairs}
	l.all, l.rates[e] = append(l.all, e), rate
	return e
}

// service is the document of its service: control gets all live requests.
func (l *lab) serviceOf(e *examined) *crossfadev1.Document {
	protocol := "http1"
	if e.part == truth.GRPC {
		protocol = "http2"
	}
	static := func(name string, o *truth.Origin) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: name, Protocol: protocol, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: e.name, Hosts: []string{e.name + ".test"}, Primary: "control",
		Listener: &crossfadev1.Listener{Port: int32(l.port)}, Origins: []*crossfadev1.Origin{static("control", e.truth.Control), static("candidate", e.truth.Candidate)},
		Split: &crossfadev1.Split{Weights: map[string]int32{"control": 10000, "candidate": 0}},
	}}}
}

// mirror is the document of its experiment. It copies all, and ends when it is stopped.
func (e *examined) mirror() *crossfadev1.Mirror {
	const never = 1_000_000
	m := &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: e.name, Service: e.name, Control: "control", Candidate: "candidate",
		Share: 10000, MaxRps: 2000, MinPairs: 100, Learn: durationpb.New(0), Duration: durationpb.New(10 * time.Minute),
		Stop: &crossfadev1.MirrorStop{CandidateErrors: never, ControlRefusals: never},
	}
	if e.part == truth.GRPC {
		m.GrpcMethods = []string{shadowtest.GRPCPath[1:]}
		m.Grpc = e.grpc
	}
	return m
}

// start starts all services, experiments and loads. The function that it returns ends the loads, and fails the test if a live request failed.
func (l *lab) start() (stop func()) {
	l.t.Helper()
	var services []*crossfadev1.Document
	for _, e := range l.all {
		services = append(services, l.serviceOf(e))
	}
	l.apply(services...)
	l.ready()
	for _, e := range l.all {
		if _, err := l.API.StartMirror(l.t.Context(), &crossfadev1.StartMirrorRequest{Mirror: e.mirror()}); err != nil {
			l.t.Fatalf("%s: %v", e.name, err)
		}
	}
	runs := map[string]*loadgen.Run{}
	for _, e := range l.all {
		protocol := loadgen.HTTP1
		if e.part == truth.GRPC {
			protocol = loadgen.HTTP2
		}
		run, err := loadgen.Start(l.t.Context(), loadgen.Config{
			Target: net.JoinHostPort(l.Proxies[0].Host, strconv.Itoa(l.port)), Protocol: protocol, Rate: l.rates[e], Duration: 10 * time.Minute,
			Make: e.truth.Requests(e.part, e.name+".test", l.seed), Timeout: 30 * time.Second, // it is not about how fast this machine is
		})
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { run.Stop(); run.Wait() })
		runs[e.name] = run
	}
	return func() {
		l.t.Helper()
		for _, run := range runs {
			run.Stop()
		}
		for name, run := range runs {
			if r := run.Wait(); r.Failed > 0 || r.Done < 20 {
				l.t.Errorf("%s: %d of %d live requests failed: %v", name, r.Failed, r.Done, r.Failures)
			}
		}
	}
}

// look fetches the report of an experiment.
func (l *lab) look(ctx context.Context, e *examined) error {
	got, err := l.API.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{Name: e.name})
	if err == nil {
		e.report = got.GetReport()
	}
	return err
}

// until waits for all experiments to fulfil something.
func (l *lab) until(what string, patience time.Duration, cond func(*examined) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	err := poll.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		var errs []error
		for _, e := range l.all {
			if err := l.look(ctx, e); err != nil {
				errs = append(errs, err)
			} else if err := cond(e); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		for _, e := range l.all {
			l.t.Logf("%s: %v", e.name, summaryOf(e.report))
		}
		l.t.Fatalf("%s: %v", what, err)
	}
}

func summaryOf(r *crossfadev1.MirrorReport) string {
	return fmt.Sprintf("%s, %s by %v: mirrored %d, compared %d, unrepresentative %d, failed %d, dropped %v, reasons %v, comparators %d, lost %d",
		r.GetState(), r.GetVerdict(), r.GetWhy(), r.GetMirrored(), r.GetCompared(), r.GetUnrepresentative(), r.GetTargetFailed(), r.GetDropped(), r.GetReasons(), r.GetComparators(), r.GetLost())
}

// enough says whether each endpoint where something is planted was compared often enough; if nothing is planted, whether there are enough in all.
func (e *examined) enough() error {
	compared := map[string]int64{}
	for _, at := range e.report.GetEndpoints() {
		compared[at.GetEndpoint()] = at.GetCompared()
	}
	for _, p := range e.planted() {
		if n := compared[p.Endpoint]; n < e.pairs {
			return fmt.Errorf("%s was compared %d times of %d", p.Endpoint, n, e.pairs)
		}
	}
	if n := judged(e.report); n < e.pairs {
		return fmt.Errorf("%d pairs of %d", n, e.pairs)
	}
	return nil
}

// judged are the copies for which both origins were asked and the answers counted.
func judged(r *crossfadev1.MirrorReport) int64 {
	return r.GetCompared() + r.GetUnrepresentative() + r.GetTargetFailed()
}

// finish ends the loads and then the experiments. Before they end, every copy that the proxy made has been counted.
func (l *lab) finish(stop func()) {
	l.t.Helper()
	stop()
	last := l.all[len(l.all)-1]
	l.until("every copy that was made is counted", 30*time.Second, func(e *examined) error {
		if e != last {
			return nil // the sum is looked at once all reports are new
		}
		made, err := l.copies()
		if err != nil {
			return err
		}
		counted := int64(0)
		for _, e := range l.all {
			counted += e.report.GetMirrored()
		}
		if made != counted {
			return fmt.Errorf("%d copies were made, %d counted", made, counted)
		}
		return nil
	})
	for _, e := range l.all {
		if _, err := l.API.StopMirror(l.t.Context(), &crossfadev1.StopMirrorRequest{Name: e.name}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.until("the experiments have ended", 20*time.Second, func(e *examined) error {
		if s := e.report.GetState(); s != "ended" {
			return errors.New(s)
		}
		return nil
	})
}

// copies is how many the proxy has sent to the comparator, by its own account. Checks of health are not among them.
func (l *lab) copies() (int64, error) {
	clusters, err := l.Proxies[0].Get(l.t.Context(), "/clusters")
	if err != nil {
		return 0, err
	}
	const prefix, infix = "@comparator::", "::rq_total::"
	for line := range strings.Lines(clusters) {
		if _, n, ok := strings.Cut(strings.TrimSpace(line), infix); ok && strings.HasPrefix(line, prefix) {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, errors.New("the proxy knows no comparator")
}
