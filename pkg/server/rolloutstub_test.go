package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// rolloutStub is a controller whose rollouts are the test's. Each start of another key is a run of its own.
type rolloutStub struct {
	server.Controller
	refused error

	mu       sync.Mutex
	told     []string
	starts   map[string]*crossfadev1.Revision // by idempotency key
	revision int64
	live     map[string]*crossfadev1.RolloutStatus
	attend   int
	left     chan struct{} // signalled when somebody leaves
	changed  chan struct{}
}

func newRolloutStub() *rolloutStub {
	return &rolloutStub{
		starts: map[string]*crossfadev1.Revision{}, live: map[string]*crossfadev1.RolloutStatus{},
		left: make(chan struct{}, 100), changed: make(chan struct{}),
	}
}

// put sets how a rollout is, and tells those who wait.
func (s *rolloutStub) put(st *crossfadev1.RolloutStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	st.Revision = s.revision
	s.live[st.GetName()] = st
	s.tell()
}

func (s *rolloutStub) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// say records what the controller was told.
func (s *rolloutStub) say(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *rolloutStub) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.told, ", ")
}

func (s *rolloutStub) StartRollout(_ context.Context, doc *crossfadev1.Rollout, name string, lease time.Duration, o control.Options) (*crossfadev1.Change, *crossfadev1.RolloutStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("start %s%s lease %s by %s", doc.GetName(), name, lease, o.Who)
	if s.refused != nil {
		return nil, nil, s.refused
	}
	name += doc.GetName()
	r := s.starts[o.Key]
	if r == nil {
		s.revision++
		run := fmt.Sprintf("%s@%d", name, s.revision)
		r = &crossfadev1.Revision{Revision: s.revision, Service: name, After: &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{
			Rollout: &crossfadev1.Rollout{Name: name, Run: &crossfadev1.RolloutRun{Id: run}},
		}}}
		s.starts[o.Key] = r
		s.live[name] = baking(name, run)
		s.live[name].Revision = s.revision
		s.tell()
	}
	return &crossfadev1.Change{Kind: "Rollout", Service: name, Revision: r.GetRevision(), Recorded: true}, proto.CloneOf(s.live[name]), nil
}

// baking is the status of a run with two steps.
func baking(name, run string) *crossfadev1.RolloutStatus {
	return &crossfadev1.RolloutStatus{
		Name: name, Run: run, Service: "orders", State: "Baking", Step: 1, StartedBy: "ann",
		Steps: []*crossfadev1.RolloutStepStatus{{Step: 1, Bake: durationpb.New(time.Minute)}, {Step: 2, Bake: durationpb.New(2 * time.Minute)}},
	}
}

func (s *rolloutStub) History(_ context.Context, _ string, before int64, _ int) ([]*crossfadev1.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.starts {
		if r.GetRevision() == before-1 {
			return []*crossfadev1.Revision{r}, nil
		}
	}
	return nil, nil
}

func (s *rolloutStub) CheckRollout(doc *crossfadev1.Rollout, name string, _ control.Options) (*crossfadev1.RolloutStatus, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	return baking(doc.GetName()+name, ""), nil
}

func (s *rolloutStub) ActOnRollout(_ context.Context, name, action string, step int, o control.Options) (*crossfadev1.RolloutStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("%s %s %d by %s", action, name, step, o.Who)
	if s.refused != nil {
		return nil, s.refused
	}
	return baking(name, "r"), nil
}

func (s *rolloutStub) Rollouts(service string) []*crossfadev1.RolloutStatus {
	var out []*crossfadev1.RolloutStatus
	for _, name := range []string{"c", "a", "b"} {
		out = append(out, &crossfadev1.RolloutStatus{Name: name, Service: service})
	}
	return out
}

func (s *rolloutStub) Rollout(name string) (*crossfadev1.RolloutStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.live[name]; st != nil {
		return proto.CloneOf(st), nil
	}
	return nil, &policy.Error{Kind: policy.NotFound, Code: "not_found", Field: "name", Value: name, Message: "there is no such rollout"}
}

func (s *rolloutStub) RolloutChanged(string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *rolloutStub) AttendRollout(string) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attend++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.attend--
		s.left <- struct{}{}
	}
}

// attending is how many wait for an end.
func (s *rolloutStub) attending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attend
}
