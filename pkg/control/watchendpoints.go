package control

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
)

// tidings tells readers which origins have changed. A reader who is slow hears of each origin once, however often it changed.
type tidings struct {
	mu      sync.Mutex
	readers map[*reader]struct{}
}

// reader is one who is told.
type reader struct {
	service, origin string // empty: of all
	news            chan struct{}
	changed         map[tracker.Key]struct{} // under the lock of the tidings
}

func (t *tidings) subscribe(service, origin string) *reader {
	r := &reader{service: service, origin: origin, news: make(chan struct{}, 1), changed: map[tracker.Key]struct{}{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers == nil {
		t.readers = map[*reader]struct{}{}
	}
	t.readers[r] = struct{}{}
	return r
}

func (t *tidings) unsubscribe(r *reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.readers, r)
}

// changed notes that an origin, or its endpoints, have changed.
func (t *tidings) changed(k tracker.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.readers {
		if r.service != "" && r.service != k.Service || r.origin != "" && r.origin != k.Origin {
			continue
		}
		r.changed[k] = struct{}{}
		select {
		case r.news <- struct{}{}:
		default: // it has not looked at the last ones yet
		}
	}
}

// take returns the origins that have changed since it was called last, sorted.
func (t *tidings) take(r *reader) []tracker.Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]tracker.Key, 0, len(r.changed))
	for k := range r.changed {
		out = append(out, k)
	}
	clear(r.changed)
	slices.SortFunc(out, func(a, b tracker.Key) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Origin, b.Origin))
	})
	return out
}

// WatchEndpoints tells the origins and endpoints there are, and then every change, until ctx ends or tell fails. It is called back from its own
// goroutine only. What changes while tell works is told as it is then.
func (c *Controller) WatchEndpoints(ctx context.Context, service, origin string, tell func(*crossfadev1.WatchEndpointsResponse) error) error {
	r := c.endpoints.news.subscribe(service, origin)
	defer c.endpoints.news.unsubscribe(r)
	origins, err := c.Origins(service, origin)
	if err != nil {
		return err
	}
	view := endpointView{c: c, tell: tell, told: map[tracker.Key]toldOrigin{}}
	for _, o := range origins {
		if err := view.show(tracker.Key{Service: o.GetService(), Origin: o.GetOrigin()}); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-r.news:
		}
		for _, k := range c.endpoints.news.take(r) {
			if err := view.show(k); err != nil {
				return err
			}
		}
	}
}

// endpointView is what a reader was told last.
type endpointView struct {
	c    *Controller
	tell func(*crossfadev1.WatchEndpointsResponse) error
	told map[tracker.Key]toldOrigin
}

type toldOrigin struct {
	status    *crossfadev1.OriginStatus
	endpoints map[string]*crossfadev1.Endpoint // by address
}

// show tells what is new of an origin.
func (v *endpointView) show(k tracker.Key) error {
	now := v.c.now()
	old, next := v.told[k], toldOrigin{endpoints: map[string]*crossfadev1.Endpoint{}}
	var events []*crossfadev1.WatchEndpointsResponse
	if s := v.c.snapshot().services.At(k.Service); s != nil {
		if o, err := originOf(s.compiled, k.Origin); err == nil {
			next.status = v.c.endpoints.origin(k.Service, o, now)
			for _, e := range v.c.endpoints.list(k.Service, o, now) {
				next.endpoints[e.GetAddress()] = e
				if was := old.endpoints[e.GetAddress()]; was == nil || !sameButAge(was, e) {
					events = append(events, endpointEvent("endpoint", e))
				}
			}
		}
	}
	for _, address := range slices.Sorted(maps.Keys(old.endpoints)) {
		if next.endpoints[address] == nil {
			events = append(events, endpointEvent("gone", old.endpoints[address]))
		}
	}
	if next.status == nil && old.status != nil {
		events = append(events, &crossfadev1.WatchEndpointsResponse{Type: "gone", Object: &crossfadev1.WatchEndpointsResponse_Origin{Origin: old.status}})
	}
	if next.status != nil && (old.status == nil || !sameStatusButAge(old.status, next.status)) {
		events = append(events, &crossfadev1.WatchEndpointsResponse{Type: "origin", Object: &crossfadev1.WatchEndpointsResponse_Origin{Origin: next.status}})
	}
	if v.told[k] = next; next.status == nil {
		delete(v.told, k)
	}
	return v.tellAll(events, now)
}

func (v *endpointView) tellAll(events []*crossfadev1.WatchEndpointsResponse, now time.Time) error {
	for _, e := range events {
		e.Time = timestamppb.New(now)
		if err := v.tell(e); err != nil {
			return err
		}
	}
	return nil
}

func endpointEvent(kind string, e *crossfadev1.Endpoint) *crossfadev1.WatchEndpointsResponse {
	return &crossfadev1.WatchEndpointsResponse{Type: kind, Object: &crossfadev1.WatchEndpointsResponse_Endpoint{Endpoint: e}}
}

// sameButAge compares two endpoints of this view, but for their age.
func sameButAge(told, now *crossfadev1.Endpoint) bool {
	told.AgeMs = now.GetAgeMs() // nobody reads it any more
	return proto.Equal(told, now)
}

func sameStatusButAge(told, now *crossfadev1.OriginStatus) bool {
	told.AgeMs = now.GetAgeMs()
	return proto.Equal(told, now)
}
