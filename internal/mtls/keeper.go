package mtls

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// lookEvery is how often files are looked at, and connections swept.
const lookEvery = time.Second

// A Keeper has what the files hold now. Its methods may be called from several goroutines.
type Keeper struct {
	files   Files
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[material]
	open    registry

	reading sync.Mutex // guards what follows
	own     bool       // see Hold
	name    string     // that it must keep; empty: any
	seen    []fs.FileInfo
	pending int   // looks for which the files have been bad
	bad     error // why what is on disk is not used; nil: it is

	reloads, failures atomic.Int64
	mu                sync.Mutex // guards refusals
	refusals          map[Refusal]int64
	said              rate.Sometimes
}

// Refusal is a kind of peer that was not let in.
type Refusal struct {
	Listener string // as given to the keeper
	Reason   string // one of the constants
}

// Open reads the files. The error is a *FileError, of the first that is bad. A nil log discards.
func Open(f Files, log *slog.Logger) (*Keeper, error) {
	return open(f, log, time.Now)
}

func open(f Files, log *slog.Logger, now func() time.Time) (*Keeper, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{files: f, log: log, now: now, refusals: map[Refusal]int64{}, said: rate.Sometimes{First: 20, Interval: time.Second}}
	k.open.keeper = k
	k.seen = k.look()
	m, err := load(f, now())
	if err != nil {
		return nil, err
	}
	k.current.Store(m)
	if f.CRL != "" {
		for _, c := range m.unlisted() {
			log.Warn("there is no list of revoked certificates of an authority: none of its certificates counts as revoked", "authority", c.Subject.String(), "lists", f.CRL)
		}
	}
	return k, nil
}

// Run reads files that change, and ends connections whose peer is good no more, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.refresh()
			k.open.sweep(k.now(), false)
		}
	}
}

// Reload reads the files at once. What is bad is not used, and what there was goes on: the error is a *FileError.
func (k *Keeper) Reload() error {
	k.reading.Lock()
	defer k.reading.Unlock()
	k.seen = k.look()
	err := k.read()
	if err != nil {
		k.report(err)
	}
	return err
}

// refresh reads the files if they have changed, or were bad. Who rotates certificates replaces one file after the other, so that only what is still
// bad at the next look is a failure, which is reported once.
func (k *Keeper) refresh() {
	k.reading.Lock()
	defer k.reading.Unlock()
	seen := k.look()
	changed := !same(seen, k.seen)
	k.seen = seen
	switch {
	case changed:
		k.pending = 0
	case k.pending == 0:
		return
	}
	if err := k.read(); err != nil {
		if k.pending++; k.pending == 2 {
			k.report(err)
		}
	}
}

// read takes what the files hold, if it is good. k.reading is held.
func (k *Keeper) read() error {
	m, err := load(k.files, k.now())
	if err != nil {
		return err
	}
	if err := m.follows(k.current.Load()); err != nil {
		return &FileError{k.files.CRL, err}
	}
	if err := k.fits(m); err != nil {
		return &FileError{k.files.Cert, err}
	}
	k.pending, k.bad = 0, nil
	k.current.Store(m)
	k.reloads.Add(1)
	k.log.Info("certificates read anew", "certificate", nameOf(m.cert.Leaf), "serial", m.cert.Leaf.SerialNumber.Text(16), "until", m.cert.Leaf.NotAfter.UTC(), "lists", len(m.lists))
	k.open.sweep(k.now(), true)
	return nil
}

// report says that the files are bad. k.reading is held.
func (k *Keeper) report(err error) {
	k.bad, k.pending = err, max(k.pending, 2)
	k.failures.Add(1)
	k.log.Error("certificates were not read anew; what there was goes on", "error", err, "until", k.current.Load().cert.Leaf.NotAfter.UTC())
}

// look says which files there are. A link is followed: who mounts secrets swaps one.
func (k *Keeper) look() []fs.FileInfo {
	var out []fs.FileInfo
	for _, path := range k.files.paths() {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		out = append(out, info)
	}
	return out
}

func same(a, b []fs.FileInfo) bool {
	for i := range a {
		switch {
		case a[i] == nil || b[i] == nil:
			if a[i] != b[i] {
				return false
			}
		case !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()):
			return false
		}
	}
	return true
}

// State is what a Keeper tells metrics.
type State struct {
	Ends     map[string]time.Time // when what is in a file expires first, or is due for renewal, by its role: "cert", "ca", "crl"
	Failures int64                // times that files were bad and what there was went on
	Refused  map[Refusal]int64
	Bad      error // why what is on disk is not used; nil: it is
}

// State returns how things are.
func (k *Keeper) State() State {
	s := State{Ends: map[string]time.Time{}, Failures: k.failures.Load()}
	ends := k.current.Load().ends
	for role, path := range map[string]string{"cert": k.files.Cert, "ca": k.files.CA, "crl": k.files.CRL} {
		if end, ok := ends[path]; ok {
			s.Ends[role] = end
		}
	}
	k.mu.Lock()
	s.Refused = maps.Clone(k.refusals)
	k.mu.Unlock()
	k.reading.Lock()
	s.Bad = k.bad
	k.reading.Unlock()
	return s
}

// refused counts a peer that was not let in, and says so, some of the time.
func (k *Keeper) refused(listener, remote string, err error) {
	r := Refusal{listener, reasonOf(err)}
	k.mu.Lock()
	k.refusals[r]++
	k.mu.Unlock()
	if r.Reason != ReasonGone {
		k.said.Do(func() {
			k.log.Warn("connection refused", "listener", listener, "remote", remote, "reason", r.Reason, "error", plain(unwrapped(err)))
		})
	}
}

// unwrapped is the error inside of those that only say that it was a handshake.
func unwrapped(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
