package bolt

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

const (
	// maxBatch bounds how many changes share one transaction.
	maxBatch = 256
	// hungAfter is how old a write is at least when it counts as hung: a caller that gives up on a healthy disk must not make the store
	// refuse others.
	hungAfter = 100 * time.Millisecond
	// settleEvery is how often a batch in doubt is tried again while no commit does it.
	settleEvery = time.Second
)

// outcome is the answer to a request.
type outcome struct {
	revisions []*crossfadev1.Revision
	replayed  bool
	err       error
}

// request is a change on its way to the writer.
type request struct {
	// apply adds the change to a batch. With an error in its outcome it has added nothing.
	apply func(*batch) outcome
	taken atomic.Bool  // set by whoever comes first: the writer, or the caller when it gives up
	done  chan outcome // holds one, so that the writer never waits
}

// inFlight is a write in progress.
type inFlight struct {
	since     time.Time
	abandoned atomic.Bool // a caller stopped waiting for it
}

func (f *inFlight) hung() bool {
	return f != nil && f.abandoned.Load() && time.Since(f.since) >= hungAfter
}

// submit gives a change to the writer and waits for its end or that of ctx.
func (s *Store) submit(ctx context.Context, apply func(*batch) outcome) outcome {
	if ctx.Err() != nil {
		return outcome{err: done(ctx, "nothing was tried")}
	}
	if s.flight.Load().hung() {
		return outcome{err: unavailable("an earlier write hangs in the disk", nil)}
	}
	r := &request{apply: apply, done: make(chan outcome, 1)}
	if s.closed() {
		return outcome{err: errClosed}
	}
	select {
	case s.queue <- r:
	default:
		return outcome{err: unavailable("too many changes wait for the disk", nil)}
	}
	return s.await(ctx, r)
}

// await waits for the outcome of a queued request.
func (s *Store) await(ctx context.Context, r *request) outcome {
	select {
	case out := <-r.done:
		return out
	case <-s.stopped:
	case <-ctx.Done():
		if f := s.flight.Load(); f != nil {
			f.abandoned.Store(true)
		}
	}
	if r.taken.CompareAndSwap(false, true) { // the writer will leave it out
		if ctx.Err() != nil {
			return outcome{err: done(ctx, "the change still waited for the disk; it was dropped")}
		}
		return outcome{err: errClosed}
	}
	select {
	case out := <-r.done: // it came back at the same time
		return out
	default:
		return outcome{err: done(ctx, "the change is on its way to the disk and has not come back; in doubt")}
	}
}

// write is the writer. It ends when the store is closed.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		var retry <-chan time.Time
		if s.doubt != nil {
			retry = time.After(settleEvery)
		}
		select {
		case <-s.stop:
			return
		case r := <-s.queue:
			if s.closed() { // both were ready
				return
			}
			s.flight.Store(&inFlight{since: time.Now()}) // before requests are taken
			s.run(s.gather(r))
		case <-retry:
			s.flight.Store(&inFlight{since: time.Now()})
			_ = s.settle() // its callers have their answer; the next commit gets the next failure
			s.flight.Store(nil)
		}
	}
}

// closed says whether Close was called.
func (s *Store) closed() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// gather returns a request and those that wait behind it, without those whose callers gave up.
func (s *Store) gather(first *request) []*request {
	var rs []*request
	for r := first; ; {
		if r.taken.CompareAndSwap(false, true) {
			rs = append(rs, r)
		}
		if len(rs) == maxBatch {
			return rs
		}
		select {
		case r = <-s.queue:
		default:
			return rs
		}
	}
}

// run makes the requests durable together, and answers them.
func (s *Store) run(rs []*request) {
	outs := make([]outcome, len(rs))
	var err error
	if len(rs) > 0 {
		err = s.commit(rs, outs)
	}
	s.flight.Store(nil) // before the answers: who has one may commit again
	for i, r := range rs {
		if err != nil {
			outs[i] = outcome{err: err}
		}
		r.done <- outs[i]
	}
}

// commit applies the requests in one transaction. On an error none of it is visible.
func (s *Store) commit(rs []*request, outs []outcome) error {
	if err := s.settle(); err != nil {
		return err
	}
	tx, err := s.begin(true)
	if err != nil {
		return asUnavailable(err)
	}
	b := newBatch(tx, s.state.Load(), s.head)
	err = guard(func() error {
		for i, r := range rs {
			outs[i] = r.apply(b)
			if b.err != nil {
				return b.err
			}
		}
		return b.finish()
	})
	if err != nil || !b.changed {
		return errors.Join(asUnavailable(err), s.rollback(tx))
	}
	if err := s.makeDurable(tx, b); err != nil {
		return err
	}
	s.publish(b)
	return nil
}

// makeDurable commits a transaction. After an error it finds out whether bbolt shows it all the same.
func (s *Store) makeDurable(tx *bbolt.Tx, b *batch) error {
	id := tx.ID()
	err := guard(func() error { return s.commitTx(tx) })
	if err == nil {
		return nil
	}
	if errors.Is(err, errPanic) {
		err = asUnavailable(err)
		s.poison.CompareAndSwap(nil, &err)
		return err
	}
	after, beginErr := s.begin(false)
	if beginErr != nil {
		return asUnavailable(beginErr)
	}
	shown := after.ID() >= id
	if err := s.rollback(after); err != nil {
		return err
	}
	if shown {
		s.doubt = b
		return unavailable("the disk failed at the last step; in doubt", err)
	}
	return unavailable("the disk took no change", err)
}

// settle makes a batch in doubt durable, if there is one. Its pages are on disk, only the page that refers to them may not be: any later
// transaction refers to them too.
func (s *Store) settle() error {
	if s.doubt == nil {
		return nil
	}
	// After its failure bbolt may reuse pages that readers of the state before still read: wait for them.
	s.draining.Lock()
	s.draining.Unlock() //nolint:staticcheck // empty on purpose
	tx, err := s.begin(true)
	if err != nil {
		return asUnavailable(err)
	}
	b := s.doubt
	if err := s.makeDurable(tx, b); err != nil {
		s.doubt = b
		return err
	}
	s.doubt = nil
	s.publish(b)
	return nil
}

// publish shows a durable batch to readers.
func (s *Store) publish(b *batch) {
	s.head = b.head
	s.state.Store(&state{revision: b.head.revision, live: b.live})
}

// rollback ends a transaction. Where even that fails, bbolt cannot be used any more.
func (s *Store) rollback(tx *bbolt.Tx) error {
	err := guard(tx.Rollback)
	if err != nil {
		err = asUnavailable(err)
		s.poison.CompareAndSwap(nil, &err)
	}
	return err
}

// asUnavailable makes an error of a write a store.ErrUnavailable.
func asUnavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return unavailable("the file cannot be changed; open it again to have it checked", err)
}
