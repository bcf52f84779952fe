package tracker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// model is what a test expects of one origin: what [discovery.Set] says, one step after the other, without goroutines.
type model struct {
	key    Key
	source string // empty: it is not followed
	from   string
	set    discovery.Set
	note   string // what the file says of it, with note from
	noted  string // the source of that
	hand   *source

	former     discovery.Set // when it was forgotten, by this process
	formerFrom string
	forgotten  time.Time
}

// copies are what one who hears of changes has of each origin.
type copies struct {
	mu        sync.Mutex
	tracker   *Tracker
	endpoints map[Key]string // as proxies see them
	statuses  map[Key]string
}

func (c *copies) changed(keys []Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		all, _ := c.tracker.Endpoints(k)
		c.endpoints[k] = forProxies(all)
	}
}

func (c *copies) statusChanged(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[k] = ""
	if s, ok := c.tracker.Status(k); ok {
		c.statuses[k] = forPeople(s)
	}
}

// forProxies writes held endpoints as the ready ones that they are to proxies.
func forProxies(all []discovery.Tracked) string { return strings.ReplaceAll(text(all), "h", "") }

func forPeople(s Status) string {
	return fmt.Sprintf("%s known %v, %v since %v, held since %v", text(s.Endpoints), s.Known, s.Err, s.FailingSince, s.HeldSince)
}

// TestWalk does at random, at many origins at once, whatever may happen, and compares with the model. Who copies what is told has the same
// in the end.
func TestWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints.json")
		c := &copies{}
		start := func() *Tracker {
			c.mu.Lock() // what is told already waits until the tracker is known
			defer c.mu.Unlock()
			c.endpoints, c.statuses = map[Key]string{}, map[Key]string{}
			c.tracker = New(Config{File: path, Changed: c.changed, StatusChanged: c.statusChanged})
			return c.tracker
		}
		var models []*model
		for i := range 8 {
			models = append(models, &model{key: Key{fmt.Sprint(i), "x"}})
		}
		r := rand.New(rand.NewPCG(seed, 0))
		for range 6 { // lives
			tr := start()
			for range 10 {
				var all sync.WaitGroup
				for _, m := range models {
					r := rand.New(rand.NewPCG(r.Uint64(), 1))
					all.Go(func() {
						for range 10 {
							m.step(t, r, tr)
						}
					})
				}
				all.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				c.check(t, models)
			}
			closed(t, tr)
			for _, m := range models {
				m.dies()
			}
		}
	})
}

func (c *copies) check(t *testing.T, models []*model) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range models {
		if m.source == "" {
			if c.statuses[m.key] != "" || c.endpoints[m.key] != "" {
				t.Errorf("%v: the copy of what is forgotten has %q, %q", m.key, c.endpoints[m.key], c.statuses[m.key])
			}
			continue
		}
		if got, want := c.endpoints[m.key], forProxies(m.set.Endpoints()); got != want {
			t.Errorf("%v: the copy has %q, want %q", m.key, got, want)
		}
		s, _ := c.tracker.Status(m.key)
		if got, want := c.statuses[m.key], forPeople(s); got != want {
			t.Errorf("%v: the copy of the status is %q, want %q", m.key, got, want)
		}
	}
}

// step lets something happen to an origin.
func (m *model) step(t *testing.T, r *rand.Rand, tr *Tracker) {
	time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
	switch n := r.IntN(20); {
	case n == 0:
		tr.Forget(m.key)
		if m.source == "" {
			m.note, m.noted = "", ""
			break // of what is forgotten already, only the note
		}
		m.former, m.formerFrom, m.forgotten = m.set, m.from, time.Now()
		m.source, m.set, m.from, m.note, m.noted = "", discovery.Set{}, "", "", ""
	case n < 3 || m.source == "":
		m.follow(tr, []string{"a", "b"}[r.IntN(2)], randomly(r, 0.3))
	case n == 3:
		held := heldNow(tr, m.key)
		if _, err := tr.Accept(m.key, held); err != nil {
			t.Error(err)
		}
		m.set = m.set.Accept(held...)
	default:
		m.look(r)
	}
	time.Sleep(time.Nanosecond) // until all others wait
	if m.source == "" {
		expect(t, tr, m.key, "", false)
		return
	}
	expect(t, tr, m.key, text(m.set.Endpoints()), m.set.Known())
	s := status(t, tr, m.key)
	since, err := m.set.Failing()
	if s.Source != m.source || s.From != m.from || !errors.Is(s.Err, err) || !s.FailingSince.Equal(since) || !s.HeldSince.Equal(m.set.Held()) || s.Ready+s.Draining+s.Held != len(s.Endpoints) {
		t.Errorf("%+v, want %+v", s, m)
	}
}

func (m *model) follow(tr *Tracker, source, before string) {
	hand := newSource()
	tr.Follow(m.key, source, hand.watch, endpoints(before))
	if m.source == source {
		return
	}
	switch {
	case len(m.set.Endpoints()) > 0:
		m.set = m.set.Renew()
	case before != "":
		m.set, m.from = discovery.Seed(endpoints(before), time.Now()), ""
	case len(m.former.Endpoints()) > 0 && m.formerFrom == source && time.Since(m.forgotten) < regret:
		m.set, m.from = m.former.Renew(), source
	default:
		m.set, m.from = discovery.Seed(endpoints(m.note), time.Now()), m.noted
	}
	if m.from != source {
		m.set = m.set.Inherit()
	}
	m.source, m.hand, m.note, m.noted, m.former = source, hand, "", "", discovery.Set{}
}

func (m *model) look(r *rand.Rand) {
	what := randomly(r, 0.7)
	switch r.IntN(10) {
	case 0:
		what = "!"
	case 1:
		what = "=" + what
	case 2:
		what = ""
	}
	l := look(what)
	m.hand.looks <- l
	m.set = m.set.Take(l, discovery.Rules{Share: 30, Confirm: 10 * time.Second})
	if m.set.Known() && !m.set.Inherited() {
		m.from = m.source
	}
}

// dies is the end of the process: what is left is what the file says.
func (m *model) dies() {
	if m.source != "" {
		m.note, m.noted = forProxies(m.set.Endpoints()), m.from
	}
	if m.note == "" {
		m.noted = ""
	}
	m.source, m.set, m.from, m.former = "", discovery.Set{}, "", discovery.Set{}
}

// randomly names each of ten endpoints with a probability; some of them drain.
func randomly(r *rand.Rand, p float64) string {
	var words []string
	for i := range 10 {
		if r.Float64() < p {
			words = append(words, fmt.Sprint(i)+strings.Repeat("d", r.IntN(10)/9))
		}
	}
	return strings.Join(words, " ")
}
