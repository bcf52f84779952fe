package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// mirrorStub is a controller whose experiments are the test's.
type mirrorStub struct {
	server.Controller
	started []string // by StartMirror and StopMirror
	refused error

	mu      sync.Mutex
	reports map[string]*crossfadev1.MirrorReport
	changed chan struct{}
}

func newMirrorStub() *mirrorStub {
	return &mirrorStub{reports: map[string]*crossfadev1.MirrorReport{}, changed: make(chan struct{})}
}

// report sets a report, and tells those who wait.
func (s *mirrorStub) report(name string, r *crossfadev1.MirrorReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r == nil {
		delete(s.reports, name)
	} else {
		s.reports[name] = r
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *mirrorStub) StartMirror(_ context.Context, doc *crossfadev1.Mirror, name string, o control.Options) (*crossfadev1.Change, *crossfadev1.Mirror, error) {
	s.started = append(s.started, fmt.Sprintf("start %s%s by %s", doc.GetName(), name, o.Who))
	if s.refused != nil {
		return nil, nil, s.refused
	}
	return &crossfadev1.Change{Kind: "Mirror", Service: doc.GetName() + name, Revision: 7, Recorded: true}, doc, nil
}

func (s *mirrorStub) EstimateMirror(doc *crossfadev1.Mirror, _ string) (*crossfadev1.MirrorEstimate, *crossfadev1.Mirror, error) {
	if s.refused != nil {
		return nil, nil, s.refused
	}
	return &crossfadev1.MirrorEstimate{LiveRps: 100, AddedRps: map[string]float64{"eks": 1}}, doc, nil
}

func (s *mirrorStub) StopMirror(_ context.Context, name string, o control.Options) (*crossfadev1.Change, error) {
	s.started = append(s.started, "stop "+name+" by "+o.Who)
	return &crossfadev1.Change{Kind: "Mirror", Service: name, Revision: 8, Recorded: true}, nil
}

func (s *mirrorStub) Mirrors(service string) []*crossfadev1.MirrorStatus {
	var out []*crossfadev1.MirrorStatus
	for _, name := range []string{"c", "a", "b"} {
		out = append(out, &crossfadev1.MirrorStatus{Mirror: name, Service: service})
	}
	return out
}

func (s *mirrorStub) MirrorReport(name string) (*crossfadev1.MirrorReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reports[name]; r != nil {
		return proto.CloneOf(r), nil
	}
	return nil, &policy.Error{Kind: policy.NotFound, Code: "not_found", Field: "name", Value: name, Message: "there is no such experiment"}
}

func (s *mirrorStub) MirrorsChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func TestAnExperimentIsStartedWithWhatItWillAsk(t *testing.T) {
	s := newMirrorStub()
	var told []string
	f := start(t, server.Config{Controller: s, Changed: func(method string, changes []*crossfadev1.Change, _ time.Duration) {
		for _, c := range changes {
			told = append(told, method+" "+c.GetService())
		}
	}})
	ctx, o := t.Context(), &crossfadev1.ChangeOptions{Actor: "ann"}
	m1 := &crossfadev1.Mirror{Name: "m1"}
	dry, err := f.StartMirror(ctx, &crossfadev1.StartMirrorRequest{Mirror: m1, DryRun: true, Options: o})
	if err != nil || dry.GetChange() != nil || dry.GetEstimate().GetLiveRps() != 100 || dry.GetMirror().GetName() != "m1" {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	if len(s.started) != 0 {
		t.Errorf("a dry run did %v", s.started)
	}
	got, err := f.StartMirror(ctx, &crossfadev1.StartMirrorRequest{Mirror: m1, Options: o})
	if err != nil || got.GetChange().GetRevision() != 7 || got.GetEstimate().GetLiveRps() != 100 || got.GetMirror().GetName() != "m1" {
		t.Errorf("start: %v, %v", got, err)
	}
	if _, err := f.StartMirror(ctx, &crossfadev1.StartMirrorRequest{Name: "m2", Options: o}); err != nil {
		t.Errorf("start by name: %v", err)
	}
	if _, err := f.StopMirror(ctx, &crossfadev1.StopMirrorRequest{Name: "m1", Options: o}); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := strings.Join(s.started, ", "); got != "start m1 by ann, start m2 by ann, stop m1 by ann" {
		t.Errorf("the controller was told: %s", got)
	}
	if got := strings.Join(told, ", "); got != "StartMirror m1, StartMirror m2, StopMirror m1" {
		t.Errorf("changes: %s", got)
	}
}

func TestWhatIsWrongWithAnExperimentTheStartSays(t *testing.T) {
	s := newMirrorStub()
	s.refused = policy.Errors{{Kind: policy.Invalid, Code: "same_origin", Field: "candidate", Value: "ecs", Message: "is the control too"}}
	f := start(t, server.Config{Controller: s})
	for _, dry := range []bool{false, true} {
		_, err := f.StartMirror(t.Context(), &crossfadev1.StartMirrorRequest{Mirror: &crossfadev1.Mirror{Name: "m1"}, DryRun: dry})
		if problems, _ := details(t, err); status.Code(err) != codes.InvalidArgument || len(problems) != 1 || problems[0].GetCode() != "same_origin" {
			t.Errorf("dry run %t: %v with %v", dry, err, problems)
		}
	}
}

func TestBoundsOfExperiments(t *testing.T) {
	f := start(t, server.Config{Controller: newMirrorStub()})
	long := strings.Repeat("x", 5000)
	startOf := func(r *crossfadev1.StartMirrorRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := f.StartMirror(ctx, r)
			return err
		}
	}
	watchOf := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			w, err := f.WatchMirror(ctx, &crossfadev1.WatchMirrorRequest{Name: name})
			if err == nil {
				_, err = w.Recv()
			}
			return err
		}
	}
	for _, c := range []struct {
		name        string
		call        func(context.Context) error
		code, field string
	}{
		{"start of nothing", startOf(&crossfadev1.StartMirrorRequest{}), "one_of", "mirror"},
		{"start of two", startOf(&crossfadev1.StartMirrorRequest{Mirror: &crossfadev1.Mirror{}, Name: "m"}), "one_of", "mirror"},
		{"start with escape", startOf(&crossfadev1.StartMirrorRequest{Name: "a\x1b[2J"}), "not_printable", "name"},
		{"start with a revision below 0", startOf(&crossfadev1.StartMirrorRequest{Name: "m", Options: &crossfadev1.ChangeOptions{ExpectRevision: -1}}), "out_of_range", "options.expectRevision"},
		{"stop without name", func(ctx context.Context) error {
			_, err := f.StopMirror(ctx, &crossfadev1.StopMirrorRequest{})
			return err
		}, "required", "name"},
		{"page too large", func(ctx context.Context) error {
			_, err := f.ListMirrors(ctx, &crossfadev1.ListMirrorsRequest{PageSize: 1001})
			return err
		}, "out_of_range", "pageSize"},
		{"report without name", func(ctx context.Context) error {
			_, err := f.GetMirrorReport(ctx, &crossfadev1.GetMirrorReportRequest{})
			return err
		}, "required", "name"},
		{"watch without name", watchOf(""), "required", "name"},
		{"watch of a name too long", watchOf(long), "too_long", "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := c.call(ctx)
			problems, _ := details(t, err)
			if status.Code(err) != codes.InvalidArgument || len(problems) == 0 || problems[0].GetCode() != c.code || problems[0].GetField() != c.field {
				t.Errorf("%v with %v, want InvalidArgument with %s of %s", err, problems, c.code, c.field)
			}
		})
	}
}

func TestExperimentsAreInOrderWhateverTheControllerSays(t *testing.T) {
	f := start(t, server.Config{Controller: newMirrorStub()})
	var got []string
	for token, calls := "", 0; calls == 0 || token != ""; calls++ {
		p, err := f.ListMirrors(t.Context(), &crossfadev1.ListMirrorsRequest{PageSize: 2, PageToken: token, Service: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range p.GetItems() {
			got = append(got, m.GetMirror()+" of "+m.GetService())
		}
		token = p.GetNextPageToken()
	}
	if want := "a of orders, b of orders, c of orders"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestAWatchOfAnExperimentEndsWithIt(t *testing.T) {
	s := newMirrorStub()
	s.report("m1", &crossfadev1.MirrorReport{Mirror: "m1", State: "learning"})
	f := start(t, server.Config{Controller: s})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.WatchMirror(ctx, &crossfadev1.WatchMirrorRequest{Name: "m1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"learning", "running", "ended"} {
		if state != "learning" {
			s.report("another", &crossfadev1.MirrorReport{Mirror: "another", State: state})
			s.report("m1", &crossfadev1.MirrorReport{Mirror: "m1", State: state, Compared: 5})
		}
		e, err := w.Recv()
		if err != nil || e.GetReport().GetState() != state || e.GetReport().GetMirror() != "m1" || e.GetTime() == nil {
			t.Fatalf("%v, %v; want m1 %s", e, err, state)
		}
	}
	if e, err := w.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, %v", e, err)
	}
}

func TestAWatchOfAnExperimentThatIsDeletedSaysSo(t *testing.T) {
	s := newMirrorStub()
	s.report("m1", &crossfadev1.MirrorReport{Mirror: "m1", State: "running"})
	f := start(t, server.Config{Controller: s})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.WatchMirror(ctx, &crossfadev1.WatchMirrorRequest{Name: "m1"})
	if err == nil {
		_, err = w.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.report("m1", nil)
	if e, err := w.Recv(); status.Code(err) != codes.NotFound {
		t.Errorf("%v, %v; want NotFound", e, err)
	}
}

func TestStopEndsAWatchOfAnExperiment(t *testing.T) {
	s := newMirrorStub()
	s.report("m1", &crossfadev1.MirrorReport{Mirror: "m1", State: "running"})
	f := start(t, server.Config{Controller: s})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.WatchMirror(ctx, &crossfadev1.WatchMirrorRequest{Name: "m1"})
	if err == nil {
		_, err = w.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	f.api.Stop(f.grpc, timeout)
	_, err = w.Recv()
	if problems, _ := details(t, err); status.Code(err) != codes.Unavailable || len(problems) != 1 || problems[0].GetCode() != "server_stopping" {
		t.Errorf("%v with %v", err, problems)
	}
}
