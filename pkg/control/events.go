package control

import (
	"errors"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// ErrTooSlow ends a subscription whose reader does not keep up.
var ErrTooSlow = errors.New("the reader of the watch is too slow; watch again")

// subscriptionBuffer is how many events a reader may be behind.
const subscriptionBuffer = 1024

// hub hands events to subscriptions. A slow one is closed; nobody waits for it.
type hub struct {
	mu   sync.Mutex
	subs map[*Subscription]bool
}

// Subscription receives what is live, then every change.
type Subscription struct {
	C <-chan *crossfadev1.WatchResponse

	hub     *hub
	events  chan *crossfadev1.WatchResponse
	service string
	waiting []*crossfadev1.WatchResponse // events that came before the state was told
	started bool                         // the state was told
	err     error
	closed  bool
}

// Err says why C was closed, nil if by Close.
func (s *Subscription) Err() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.err
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.end(nil)
}

// end closes C. The hub's lock is held.
func (s *Subscription) end(err error) {
	if s.closed {
		return
	}
	s.closed, s.err = true, err
	delete(s.hub.subs, s)
	if s.started {
		close(s.events)
	}
}

// subscribe registers a subscription for a service, or for all. It receives nothing until it is started.
func (h *hub) subscribe(service string) *Subscription {
	s := &Subscription{hub: h, service: service}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*Subscription]bool{}
	}
	h.subs[s] = true
	return s
}

// start tells the state, and then what has happened since the subscription was registered.
func (s *Subscription) start(state []*crossfadev1.WatchResponse) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.events = make(chan *crossfadev1.WatchResponse, len(state)+subscriptionBuffer)
	s.C, s.started = s.events, true
	for _, e := range append(state, s.waiting...) {
		s.events <- e
	}
	s.waiting = nil
	if s.closed {
		close(s.events)
	}
}

// receive hands over an event, or ends the subscription of a reader who is too far behind. The hub's lock is held.
func (s *Subscription) receive(e *crossfadev1.WatchResponse) {
	if !s.started {
		if s.waiting = append(s.waiting, e); len(s.waiting) == subscriptionBuffer {
			s.end(ErrTooSlow)
		}
		return
	}
	select {
	case s.events <- e:
	default:
		s.end(ErrTooSlow)
	}
}

func (h *hub) publish(service string, e *crossfadev1.WatchResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.service == "" || service == "" || s.service == service {
			s.receive(e)
		}
	}
}

// watched says whether anybody listens.
func (h *hub) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs) > 0
}

// revision tells of a new revision.
func (h *hub) revision(r *crossfadev1.Revision) {
	if r = public(r); r != nil {
		h.publish(r.GetService(), &crossfadev1.WatchResponse{Type: "revision", Time: r.GetTime(), Object: &crossfadev1.WatchResponse_Revision{Revision: r}})
	}
}

// ProxyChanged tells watchers that a proxy connected, left or refused something.
func (c *Controller) ProxyChanged(fleet, proxy string) {
	if !c.events.watched() {
		return
	}
	if p, ok := c.fleets.Fleet(fleet).Proxy(proxy); ok {
		c.events.publish("", &crossfadev1.WatchResponse{
			Type: "proxy", Time: timestamppb.New(c.now()), Object: &crossfadev1.WatchResponse_Proxy{Proxy: c.proxy(p)},
		})
	}
}

// serviceChanged tells watchers what a service is now.
func (c *Controller) serviceChanged(name string) {
	if !c.events.watched() {
		return
	}
	c.mu.RLock()
	s, ok := c.live.services.Get(name)
	c.mu.RUnlock()
	var event *crossfadev1.WatchResponse
	if ok {
		event = &crossfadev1.WatchResponse{Type: "service", Object: &crossfadev1.WatchResponse_Service{Service: c.status(s, "")}}
	} else {
		event = &crossfadev1.WatchResponse{Type: "deleted", Object: &crossfadev1.WatchResponse_Service{Service: &crossfadev1.ServiceStatus{Name: name}}}
	}
	event.Time = timestamppb.New(c.now())
	c.events.publish(name, event)
}

// Watch returns what is live of a service, or of all, and then every change.
func (c *Controller) Watch(service string) *Subscription {
	c.order.Lock() // nothing is published between the state and the first event
	live, sub := c.snapshot(), c.events.subscribe(service)
	c.order.Unlock() // a rollback does not wait for the figures
	now := timestamppb.New(c.now())
	var state []*crossfadev1.WatchResponse
	for _, s := range live.of("") {
		if service == "" || s.compiled.Name == service {
			state = append(state, &crossfadev1.WatchResponse{Type: "service", Time: now, Object: &crossfadev1.WatchResponse_Service{Service: c.status(s, "")}})
		}
	}
	sub.start(state)
	return sub
}
