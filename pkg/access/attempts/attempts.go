// Package attempts remembers what was refused to whom, within bounds that nobody who is refused can stretch.
//
// What it remembers is in memory, and in a file that is replaced beside it: nobody waits for the disk, and what the file says is at most a few
// seconds old.
package attempts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of what is remembered. Of a caller beyond its own, and of all beyond theirs, the oldest is forgotten.
const (
	Max          = 1000
	MaxOfACaller = 100
	// Within is the time in which attempts of one kind are one.
	Within = time.Hour
	// Every is how often it is looked whether there is something to write.
	Every = 2 * time.Second

	maxSize = 8 << 20 // bytes of the file: Max with the longest names
	version = 1
)

// content is what the file says.
type content struct {
	Version  int              `json:"version"`
	Next     int64            `json:"next"` // ID
	Attempts []access.Attempt `json:"attempts"`
}

// Log remembers. Its methods are safe for concurrent use.
type Log struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	next    int64            // ID
	kept    []access.Attempt // in the order of their IDs
	changed bool             // since the file was written

	failing bool // to write; only Run's
}

// Open returns what a file remembers; it need not exist. Where it cannot be read, the log says so, and the next write replaces it.
func Open(path string, log *slog.Logger) *Log { return open(path, log, time.Now) }

func open(path string, log *slog.Logger, now func() time.Time) *Log {
	l := &Log{path: path, log: log, now: now, next: 1}
	c, err := read(path)
	if err != nil {
		log.Warn("the file of refused attempts cannot be read: those from before are not in the history", "file", path, "error", err)
		return l
	}
	l.kept, l.next = c.Attempts, max(c.Next, 1)
	return l
}

func read(path string) (content, error) {
	data, err := notefile.Read(path, maxSize)
	if data == nil || err != nil {
		return content{}, err
	}
	return parse(data)
}

// parse reads the content of a file.
func parse(data []byte) (content, error) {
	var c content
	if len(data) > maxSize {
		return c, fmt.Errorf("it has more than %d MiB", maxSize>>20)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return content{}, fmt.Errorf("it is damaged: %w", err)
	}
	if c.Version != version {
		return content{}, fmt.Errorf("it has version %d, this program reads %d", c.Version, version)
	}
	last := int64(0)
	for _, a := range c.Attempts {
		if a.ID <= last || a.ID >= c.Next {
			return content{}, fmt.Errorf("it is damaged: the numbers of its attempts are not in order")
		}
		last = a.ID
	}
	if n := len(c.Attempts); n > Max {
		c.Attempts = c.Attempts[n-Max:]
	}
	return c, nil
}

// Note remembers a refusal. It says whether it is the first of its kind within the hour.
func (l *Log) Note(r *access.Refusal) bool {
	service := r.Service
	if !policy.ValidName(service) {
		service = "" // whoever is refused writes it: it may be anything
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UTC()
	l.changed = true
	for i := range slices.Backward(l.kept) {
		a := &l.kept[i]
		if a.Who == r.Who && a.Method == r.Method && a.Service == service && a.First.Truncate(Within).Equal(now.Truncate(Within)) {
			a.Count++
			a.Last, a.Role = now, r.Role
			return false
		}
	}
	l.makeRoom(r.Who)
	l.kept = append(l.kept, access.Attempt{ID: l.next, Who: r.Who, Method: r.Method, Service: service, Role: r.Role, First: now, Last: now, Count: 1})
	l.next++
	return true
}

// makeRoom forgets what one more attempt of a caller has no room beside.
func (l *Log) makeRoom(who string) {
	of, oldest := 0, -1
	for i, a := range l.kept {
		if a.Who == who {
			if of == 0 {
				oldest = i
			}
			of++
		}
	}
	switch {
	case of >= MaxOfACaller:
		l.kept = slices.Delete(l.kept, oldest, oldest+1)
	case len(l.kept) >= Max:
		l.kept = slices.Delete(l.kept, 0, 1)
	}
}

// List returns what is remembered with numbers below before, newest first; all if before is 0.
func (l *Log) List(before int64) []access.Attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]access.Attempt, 0, len(l.kept))
	for _, a := range slices.Backward(l.kept) {
		if before == 0 || a.ID < before {
			out = append(out, a)
		}
	}
	return out
}

// Next is the number that the next attempt gets.
func (l *Log) Next() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Run writes the file where something has changed, until ctx ends, and then once more.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.save()
		case <-ctx.Done():
			l.save()
			return
		}
	}
}

func (l *Log) save() {
	l.mu.Lock()
	changed, c := l.changed, content{Version: version, Next: l.next, Attempts: slices.Clone(l.kept)}
	l.changed = false
	l.mu.Unlock()
	if !changed {
		return
	}
	data, err := json.Marshal(c)
	if err == nil {
		err = notefile.Replace(l.path, data)
	}
	if err != nil {
		l.mu.Lock()
		l.changed = true
		l.mu.Unlock()
		if !l.failing {
			l.log.Warn("the file of refused attempts cannot be written: it is older than what is known", "file", l.path, "error", err)
		}
	}
	l.failing = err != nil
}
