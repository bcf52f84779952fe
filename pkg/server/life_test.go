package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

func TestHealthSaysServingOnlyWhenItIs(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	health := grpc_health_v1.NewHealthClient(f.conn)
	for i, serving := range []bool{false, true, false} {
		if i > 0 {
			f.api.SetServing(serving)
		}
		want := grpc_health_v1.HealthCheckResponse_NOT_SERVING
		if serving {
			want = grpc_health_v1.HealthCheckResponse_SERVING
		}
		for _, name := range []string{"", "crossfade.v1.CrossfadeService"} {
			got, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
			if err != nil || got.GetStatus() != want {
				t.Errorf("%q: %v, %v; want %v", name, got, err, want)
			}
		}
	}
}

func TestReflectionListsTheService(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	stream, err := reflection.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || !strings.Contains(fmt.Sprint(got), "crossfade.v1.CrossfadeService") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWatchBeginsWithWhatIsAndGoesOnWithWhatHappens(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "carts", "orders")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.Watch(ctx, &crossfadev1.WatchRequest{Service: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.Recv()
	if err != nil || e.GetType() != "service" || e.GetService().GetName() != "orders" || e.GetTime() == nil {
		t.Fatalf("first %v, %v", e, err)
	}
	for _, service := range []string{"carts", "orders"} {
		if _, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: service, Weights: map[string]int32{"eks": 100}}); err != nil {
			t.Fatal(err)
		}
	}
	for e.GetRevision() == nil {
		if e, err = w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if e.GetType() != "revision" || e.GetRevision().GetService() != "orders" || e.GetRevision().GetRevision() != 4 {
		t.Errorf("then %v, want revision 4 of orders", e)
	}
}

func TestAWatcherThatDoesNotReadIsCutOff(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t), WatchStall: 50 * time.Millisecond})
	var docs []*crossfadev1.Document
	for i := range 100 {
		d := service(fmt.Sprintf("s%d", i))
		for h := range 60 {
			d.GetService().Hosts = append(d.GetService().Hosts, fmt.Sprintf("%s.h%d.s%d.test", strings.Repeat("x", 60), h, i))
		}
		docs = append(docs, d)
	}
	if _, err := f.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.Watch(ctx, &crossfadev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := poll.Until(ctx, 10*time.Millisecond, poll.True(func() bool { return strings.Contains(f.log.String(), "a watcher was cut off") })); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = w.Recv()
	}
	problems, _ := details(t, err)
	if status.Code(err) != codes.ResourceExhausted || len(problems) != 1 || problems[0].GetCode() != "watch_too_slow" {
		t.Errorf("%v with %v", err, problems)
	}
}

func TestStopEndsWatchesAtOnceAndTellsWaitsThatTheChangeStands(t *testing.T) {
	waiting := make(chan struct{})
	real := newController(t)
	s := &stub{Controller: real, split: func(ctx context.Context, _ control.Options) (*crossfadev1.Change, error) {
		close(waiting)
		<-ctx.Done()
		return nil, &control.ChangeError{
			Err:     &policy.Error{Kind: policy.TimedOut, Code: "timed_out", Message: "the change stands, but 1 proxy has not acknowledged it yet: p1"},
			Changes: []*crossfadev1.Change{{Service: "orders", Revision: 2, Recorded: true}},
		}
	}}
	f := start(t, server.Config{Controller: s})
	f.api.SetServing(true)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := f.Watch(ctx, &crossfadev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Header(); err != nil { // they come once the watch is there
		t.Fatal(err)
	}
	split := make(chan error, 1)
	go func() {
		_, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders"})
		split <- err
	}()
	<-waiting
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.api.Stop(f.grpc, 100*time.Millisecond)
	}()
	_, err = w.Recv()
	if problems, _ := details(t, err); status.Code(err) != codes.Unavailable || len(problems) != 1 || problems[0].GetCode() != "server_stopping" {
		t.Errorf("watch: %v with %v", err, problems)
	}
	err = <-split
	problems, changes := details(t, err)
	if status.Code(err) != codes.DeadlineExceeded || len(problems) != 1 || len(changes) != 1 ||
		!strings.HasPrefix(problems[0].GetMessage(), "the server is stopping; the change stands") {
		t.Errorf("wait: %v with %v and %v", err, problems, changes)
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		t.Error("it does not stop")
	}
	if _, err := f.List(ctx, &crossfadev1.ListRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the end: %v", err)
	}
}

func TestStopCutsOffACallThatDoesNotEnd(t *testing.T) {
	waiting, release := make(chan struct{}), make(chan struct{})
	f := start(t, server.Config{Controller: &stub{split: func(context.Context, control.Options) (*crossfadev1.Change, error) {
		close(waiting)
		<-release
		return nil, errors.New("late")
	}}})
	split := make(chan error, 1)
	go func() {
		_, err := f.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "orders"})
		split <- err
	}()
	<-waiting
	defer close(release)
	f.api.Stop(f.grpc, 10*time.Millisecond)
	if err := <-split; status.Code(err) != codes.Unavailable {
		t.Errorf("the call: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	ready := false
	h := server.HTTP(func() bool { return ready }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics here") }))
	for _, c := range []struct {
		method, path string
		ready        bool
		code         int
		says         string
	}{
		{"GET", "/healthz", false, 200, "ok"},
		{"GET", "/readyz", false, 503, "not serving"},
		{"GET", "/readyz", true, 200, "ok"},
		{"GET", "/metrics", true, 200, "metrics here"},
		{"GET", "/", true, 200, "/healthz /readyz /metrics"},
		{"GET", "/nothing", true, 404, ""},
		{"POST", "/readyz", true, 405, ""},
	} {
		ready = c.ready
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, w.Code, w.Body, c.code, c.says)
		}
	}
}
