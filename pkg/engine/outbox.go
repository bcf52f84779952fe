package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// outbox delivers notes to the webhook of a plan, in their order, each until it is taken. Without a webhook they are taken at once.
type outbox struct {
	w    *walker
	wake chan struct{}
	done chan struct{}

	mu    sync.Mutex
	notes []rollout.Note
	known map[string]bool // IDs that came
	ids   []string        // that were taken and are not told yet
}

func newOutbox(w *walker) *outbox {
	o := &outbox{w: w, wake: make(chan struct{}, 1), done: make(chan struct{}), known: map[string]bool{}}
	go o.deliver()
	return o
}

// put adds a note, unless it came before.
func (o *outbox) put(n rollout.Note) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known[n.ID] {
		return
	}
	o.known[n.ID] = true
	if o.w.plan.Hook == "" {
		o.ids = append(o.ids, n.ID)
		return
	}
	o.notes = append(o.notes, n)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// taken returns the IDs of notes that were delivered lately. They are told until the walk has taken them from its own outbox.
func (o *outbox) taken() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ids)
}

// forget drops what the walk has taken note of: its outbox holds these no more.
func (o *outbox) forget(left []rollout.Note) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids = slices.DeleteFunc(o.ids, func(id string) bool {
		gone := !slices.ContainsFunc(left, func(n rollout.Note) bool { return n.ID == id })
		if gone {
			delete(o.known, id)
		}
		return gone
	})
}

func (o *outbox) first() (rollout.Note, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.notes) == 0 {
		return rollout.Note{}, false
	}
	return o.notes[0], true
}

// deliver tells the notes one after the other until the walk ends.
func (o *outbox) deliver() {
	defer close(o.done)
	var again retry
	for {
		n, ok := o.first()
		wake, wait := o.wake, (<-chan time.Time)(nil)
		if ok {
			if again.noteWithin(o.tell(n), firstAsk, lastAsk); again.err == nil {
				o.delivered(n)
				continue
			}
			wake, wait = nil, time.After(again.wait)
		}
		select {
		case <-o.w.ctx.Done():
			return
		case <-wait:
		case <-wake:
		}
	}
}

func (o *outbox) delivered(n rollout.Note) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notes, o.ids = o.notes[1:], append(o.ids, n.ID)
}

// tell delivers one note.
func (o *outbox) tell(n rollout.Note) error {
	w := o.w
	err := w.e.tell(w.ctx, w.plan.Hook, Event{
		ID: n.ID, Type: n.Event, Subject: w.plan.Service, Time: n.Time, Rollout: w.e.told(w.name), Text: n.Text, Alarm: n.Alarm,
	})
	if err != nil && w.ctx.Err() == nil {
		w.e.Log.Warn("a webhook did not take an event; it is told again", "rollout", w.name, "event", n.Event, "id", n.ID, "error", err)
	}
	return err
}

// close waits for the delivery to end.
func (o *outbox) close() { <-o.done }
