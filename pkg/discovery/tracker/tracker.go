package tracker

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// Watch looks at one target and tells what it sees, from one goroutine, until ctx ends, and returns why it ended. It tells a first look as
// soon as anything is known, be it an error, then each change as it is seen, and the same again every few seconds while nothing changes: so
// shrinks are confirmed, and so the age of what is known shows whether the source lives. tell does not block for long.
type Watch func(ctx context.Context, tell func(discovery.Look)) error

// Key names an origin.
type Key struct{ Service, Origin string }

// Config is what a tracker works with. All of it is optional.
type Config struct {
	// Rules say which shrinks are doubted; without any, [discovery.DefaultRules].
	Rules discovery.Rules
	// File is where what is believed is kept over a restart; empty: nowhere.
	File string
	// Changed is called with the origins whose endpoints have changed for proxies, sorted, from one goroutine: at once for the first change
	// and for those that withdraw an endpoint, else gathered for [Gather]. While it runs, changes are gathered. It is also told of those
	// that Follow and Forget have changed; an origin may be forgotten by then. Changed may call the tracker, but not Close.
	Changed func([]Key)
	// StatusChanged is called in the same way, from another goroutine, with each origin of which anything has changed but when it was last
	// looked at; also when it is followed or forgotten.
	StatusChanged func(Key)
	Log           *slog.Logger
	Now           func() time.Time
}

// Tracker follows origins. Its methods may be called from several goroutines.
type Tracker struct {
	rules discovery.Rules
	log   *slog.Logger
	now   func() time.Time
	// tellers tell what has changed, and write the note. They end after the watches.
	changed, status *gatherer
	note            *note
	tellers         sync.WaitGroup
	quit            context.CancelFunc
	// watches end with ctx.
	ctx     context.Context
	stop    context.CancelFunc
	watches sync.WaitGroup // added to under mu
	end     sync.Once
	err     error // of Close

	mu      sync.RWMutex // taken before the lock of an origin
	closed  bool
	origins map[Key]*origin
	noted   map[Key]record // what the note says of origins that nobody has followed yet
	former  map[Key]former // what was believed of origins that were forgotten not long ago
}

// former is what was believed of an origin when it was forgotten.
type former struct {
	set  discovery.Set
	from string
	at   time.Time
}

// regret is how long after an origin was forgotten it may be followed again as if it had not been: a change that a proxy refuses is taken back,
// and so is one that somebody regrets.
const regret = 10 * time.Minute

// New returns a tracker that follows nothing yet. It reads the file; one that cannot be read is said in the log, and replaced.
func New(c Config) *Tracker {
	t := &Tracker{rules: c.Rules, log: c.Log, now: c.Now, origins: map[Key]*origin{}, noted: map[Key]record{}, former: map[Key]former{}}
	if t.rules == (discovery.Rules{}) {
		t.rules = discovery.DefaultRules()
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.now == nil {
		t.now = time.Now
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	telling, quit := context.WithCancel(context.Background())
	t.quit = quit
	t.changed = newGatherer(c.Changed)
	t.status = newGatherer(each(c.StatusChanged))
	t.note = newNote(c.File, t.log)
	for _, r := range t.note.read() {
		if len(r.Endpoints) > 0 {
			t.noted[r.key()] = r
		}
	}
	t.tellers.Go(func() { t.changed.run(telling) })
	t.tellers.Go(func() { t.status.run(telling) })
	t.tellers.Go(func() { t.note.run(telling, t.records) })
	return t
}

// each makes one that takes a key out of one that takes many.
func each(f func(Key)) func([]Key) {
	if f == nil {
		return nil
	}
	return func(keys []Key) {
		for _, k := range keys {
			f(k)
		}
	}
}

// Follow follows an origin from now on, or by another source, if it was followed already; by the same source, nothing changes. Endpoints
// that were in use until now are used until the source names some that are ready: those that are believed of the origin; if there are
// none, those in before, of whatever served the origin in this process; if that names none either, those that were believed when it was
// forgotten, by the same source and not long ago, or those that the note has of it.
func (t *Tracker) Follow(k Key, source string, watch Watch, before []discovery.Endpoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	o := t.origins[k]
	if o == nil {
		o = &origin{key: k}
		t.origins[k] = o
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.run != nil && o.run.source == source {
		return
	}
	o.end()
	was := o.set
	switch {
	case len(was.Endpoints()) > 0:
		o.restart(was, o.from, source)
	case len(before) > 0:
		o.restart(discovery.Seed(before, t.now()), "", source)
	case t.recently(k, source):
		o.restart(t.former[k].set, source, source)
	default:
		r := t.noted[k]
		o.restart(discovery.Seed(r.endpoints(), r.Looked), r.Source, source)
		o.restored = len(r.Endpoints) > 0
	}
	delete(t.noted, k)
	delete(t.former, k)
	ctx, cancel := context.WithCancel(t.ctx)
	r := &run{source: source, cancel: cancel, looked: make(chan struct{})}
	o.run, o.source = r, source
	t.watches.Go(func() { t.watch(ctx, o, r, watch) })
	t.note.touch()
	t.tell(o, was, true)
}

// recently says whether an origin was forgotten not long ago, and its endpoints were named by the same source.
func (t *Tracker) recently(k Key, source string) bool {
	f, ok := t.former[k]
	return ok && f.from == source && t.now().Sub(f.at) < regret
}

// Forget ends the watch of an origin, and forgets what the note says of it, and before long what is believed. The watch may take a while to
// end; what it tells meanwhile is dropped.
func (t *Tracker) Forget(k Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.noted, k)
	if o := t.origins[k]; o != nil {
		delete(t.origins, k)
		now := t.now()
		maps.DeleteFunc(t.former, func(_ Key, f former) bool { return now.Sub(f.at) >= regret })
		o.mu.Lock()
		o.end()
		if len(o.set.Endpoints()) > 0 {
			t.former[k] = former{o.set, o.from, now}
			t.changed.add(k, false) // the caller is the first to know
		}
		o.mu.Unlock()
		t.status.add(k, false)
	}
	t.note.touch()
}

// AwaitLook returns when each of the origins has been looked at, successfully or not, since it was followed by its source. It does not
// wait for those that are not followed, nor longer than ctx and the tracker live.
func (t *Tracker) AwaitLook(ctx context.Context, keys ...Key) {
	for _, k := range keys {
		for r := t.running(k); r != nil; {
			select {
			case <-ctx.Done():
				return
			case <-r.looked:
			}
			next := t.running(k)
			if next == r {
				break
			}
			r = next // another source has taken over
		}
	}
}

// running returns the watch of an origin, nil if there is none.
func (t *Tracker) running(k Key) *run {
	o := t.origin(k)
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.run
}

func (t *Tracker) origin(k Key) *origin {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.origins[k]
}

// Close ends all watches, waits for them, and writes the file once more; it returns why that failed. What is believed can still be asked.
// Changes that were not told yet are not.
func (t *Tracker) Close() error {
	t.end.Do(func() {
		t.mu.Lock()
		t.closed = true
		for _, o := range t.origins {
			o.mu.Lock()
			o.run.wake()
			o.mu.Unlock()
		}
		t.mu.Unlock()
		t.stop()
		t.watches.Wait()
		t.quit()
		t.tellers.Wait()
		t.err = t.note.save(t.records())
	})
	return t.err
}
