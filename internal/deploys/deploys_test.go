package deploys

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// spec is a good application, so that a test knows what its replicas do.
func spec(l Life) Spec { return Spec{Name: "app", Port: 8080, Life: l} }

// ecsLog is an ECS that writes down what it was told.
type ecsLog struct {
	mu    sync.Mutex
	tasks map[string]awstest.Task
	said  map[string][]string // statuses by task
}

func newLog() *ecsLog { return &ecsLog{tasks: map[string]awstest.Task{}, said: map[string][]string{}} }

func (l *ecsLog) RunTask(t awstest.Task) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	arn := fmt.Sprintf("task/%d", len(l.tasks))
	l.tasks[arn] = t
	l.said[arn] = []string{t.Last}
	return arn
}

func (l *ecsLog) SetStatus(arn, last, desired string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[arn] = append(l.said[arn], last+"/"+desired)
}

// TestTasksLiveAsInECS: the statuses of every task, in order, and an address of its own that listens until the end.
func TestTasksLiveAsInECS(t *testing.T) {
	log := newLog()
	e := NewECS(log, Service{"prod", "orders", "web"}, spec(Life{PreStop: time.Millisecond}))
	t.Cleanup(e.Close)
	if err := errors.Join(e.Scale(t.Context(), 4), e.Replace(t.Context(), Rollout{Surge: 2}), e.Scale(t.Context(), 3)); err != nil {
		t.Fatal(err)
	}
	if len(e.Running()) != 3 || len(e.All()) != 8 || len(log.tasks) != 8 {
		t.Fatalf("%d of %d replicas run, %d tasks", len(e.Running()), len(e.All()), len(log.tasks))
	}
	seen := map[string]bool{}
	for _, r := range e.All() {
		task := log.tasks[r.arn]
		if seen[task.Address] || !strings.HasPrefix(task.Address, "10.") || task.Containers[0].Name != "web" || task.Group != "service:orders" || task.Zone == "" {
			t.Errorf("task %+v", task)
		}
		seen[task.Address] = true
		want := []string{"PROVISIONING", "PENDING/RUNNING", "ACTIVATING/RUNNING", "RUNNING/RUNNING"}
		runs := slices.Contains(e.Running(), r)
		if !runs {
			want = append(want, "DEACTIVATING/STOPPED", "STOPPING/STOPPED", "DEPROVISIONING/STOPPED", "STOPPED/STOPPED")
		}
		if got := log.said[r.arn]; !slices.Equal(got, want) {
			t.Errorf("%s was %q", r.ID, got)
		}
		if err := dial(r); runs != (err == nil) || !runs && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s runs %t, a connection meets %v", r.ID, runs, err)
		}
	}
	if kills := e.Kills(); len(kills) > 0 {
		t.Errorf("killed: %v", kills)
	}
}

func dial(r *Replica) error {
	c, err := net.DialTimeout("tcp4", r.Addr(), time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// TestOrderOfTheEnd: an application is told to stop without waiting for the API to say so, and the API is told that it is gone only
// when it has ended.
func TestOrderOfTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		life  Life
		early time.Duration // the application must not have ended by then
		late  time.Duration // it must have ended by then; 0: no matter
	}{
		"exits":             {Life{App: App{Exits: true}, Lag: time.Second}, 0, 900 * time.Millisecond},
		"good":              {Life{App: App{LameDuck: 100 * time.Millisecond}}, 100 * time.Millisecond, 0},
		"after preStop":     {Life{App: App{Exits: true}, PreStop: 100 * time.Millisecond}, 100 * time.Millisecond, 0},
		"with a long grace": {Life{App: App{LameDuck: time.Hour}, Grace: 100 * time.Millisecond}, 100 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := NewECS(newLog(), Service{"prod", "orders", "web"}, spec(c.life))
			t.Cleanup(e.Close)
			if err := e.Scale(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			r, began := e.Running()[0], time.Now()
			stopped := make(chan error, 1)
			go func() { stopped <- e.Scale(context.WithoutCancel(t.Context()), 0) }()
			for dial(r) == nil {
			}
			took := time.Since(began)
			if took < c.early || c.late > 0 && took > c.late {
				t.Errorf("it ended after %v", took)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if kills := e.Kills(); len(kills) > 0 { // nothing was in flight
				t.Errorf("killed: %v", kills)
			}
		})
	}
}

// TestSwap: both are announced by one change, and the old one serves until it is retired.
func TestSwap(t *testing.T) {
	log := newLog()
	e := NewECS(log, Service{"prod", "orders", "web"}, spec(Life{}))
	t.Cleanup(e.Close)
	if _, err := e.Swap(t.Context()); err == nil {
		t.Error("swapped what is not there")
	}
	if err := e.Scale(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s, err := e.Swap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dial(s.Old), dial(s.Fresh)); err != nil || !slices.Equal(e.Running(), []*Replica{s.Fresh}) {
		t.Errorf("%v, running %v", err, e.Running())
	}
	if err := e.Retire(t.Context(), s.Old); err != nil || dial(s.Old) == nil {
		t.Errorf("retired: %v, and it listens", err)
	}
	if got := log.said[s.Fresh.arn]; !slices.Equal(got, []string{"RUNNING"}) {
		t.Errorf("the new one was %q", got)
	}
	if got := log.said[s.Old.arn][4:]; !slices.Equal(got, []string{"STOPPING/STOPPED", "STOPPED/STOPPED"}) {
		t.Errorf("the old one was %q", got)
	}
}
