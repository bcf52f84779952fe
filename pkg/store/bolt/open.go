package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/cow"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// DefaultLockTimeout is the lock timeout of Options that have none.
const DefaultLockTimeout = 5 * time.Second

const (
	queueLength = 1024 // changes that wait for the writer
	readers     = 32   // reads of the file at once
)

// Options of a store.
type Options struct {
	// LockTimeout is how long to wait for another process to release the file. 0: DefaultLockTimeout.
	LockTimeout time.Duration
}

// Store is a store in one file. Its methods are those of store.Store.
type Store struct {
	db   *bbolt.DB
	file *os.File

	state  atomic.Pointer[state]    // what is durable
	poison atomic.Pointer[error]    // set when bbolt must not be called any more
	flight atomic.Pointer[inFlight] // the write in progress, nil if none

	queue     chan *request
	reads     chan struct{}
	stop      chan struct{} // closed by Close
	stopped   chan struct{} // closed when the writer is gone
	closeOnce sync.Once
	closeErr  error

	// draining is held for reading by reads of the file.
	draining sync.RWMutex

	trimming sync.Mutex   // held by a trim
	exports  atomic.Int32 // on their way

	// The following belong to the writer.
	head  head
	doubt *batch // a batch whose last fsync failed, nil if none

	// commitTx makes a transaction durable. It is (*bbolt.Tx).Commit, the only call here that writes to the file; tests wrap it to
	// stand for a slow, hung or failing disk.
	commitTx func(*bbolt.Tx) error
}

var _ store.Store = (*Store)(nil)

// state is what is live and durable. It is immutable.
type state struct {
	revision int64
	live     cow.Map[store.ObjectKey, *crossfadev1.Revision] // the revision that last changed the object
}

// Open opens the store at path, or makes a new one if there is no file. It reads the whole file once to check it.
//
// Errors: store.ErrCorrupt, store.ErrNewerVersion, store.ErrUnavailable (used by another process, no directory, no permission, disk full).
func Open(path string, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	s, err := open(path, o)
	switch {
	case err == nil:
		go s.write()
		return s, nil
	case errors.Is(err, store.ErrCorrupt):
		return nil, fmt.Errorf("%s: %w; keep a copy, then put back a backup, or move the file away to start empty and apply the documents again", path, err)
	case errors.Is(err, store.ErrNewerVersion):
		return nil, fmt.Errorf("%s: %w; use the version that wrote it, or a later one", path, err)
	default:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
}

func open(path string, o Options) (*Store, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, err
		}
	}
	f, err := openNamed(path, os.O_RDWR, o.LockTimeout)
	if err != nil {
		return nil, err
	}
	s, err := openFile(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// checkDirectory gives a clear error where the file cannot be.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unavailable("the directory "+dir+" does not exist; make it, or choose another path", nil)
	case err != nil:
		return unavailable("the directory "+dir+" cannot be used", err)
	case !info.IsDir():
		return unavailable(dir+" is not a directory", nil)
	}
	return nil
}

// openFile opens a locked file and makes it a store that has no writer yet.
func openFile(f *os.File) (*Store, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, unavailable("the file cannot be used", err)
	}
	h, err := verify(f, info.Size())
	if err != nil {
		return nil, err
	}
	db, err := openBolt(f)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, file: f, head: h,
		queue: make(chan *request, queueLength), reads: make(chan struct{}, readers),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		commitTx: (*bbolt.Tx).Commit,
	}
	st, err := s.loadState()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.state.Store(st)
	return s, nil
}

// openBolt gives an open and locked file to bbolt, which then owns it.
func openBolt(f *os.File) (db *bbolt.DB, err error) {
	err = guard(func() error {
		db, err = bbolt.Open(f.Name(), 0o600, &bbolt.Options{
			Timeout:      time.Second, // we have the lock
			FreelistType: bbolt.FreelistMapType,
			NoStatistics: true,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, unavailable("the file cannot be mapped", err)
	}
	return db, err
}

// loadState reads what is live.
func (s *Store) loadState() (*state, error) {
	st := &state{revision: s.head.revision}
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketLive).ForEach(func(k, v []byte) error {
			r, err := liveRevision(tx, k, v)
			if err != nil {
				return err
			}
			key, err := parseLiveKey(k)
			if err != nil {
				return err
			}
			if store.KeyOfRevision(r) != key || r.GetAfter() == nil {
				return corrupt("revision %d is not what is live of %s %s", r.GetRevision(), key.Kind, key.Name)
			}
			st.live.Set(key, r)
			return nil
		})
	})
	return st, err
}

// liveRevision reads the revision that an entry of the live bucket names.
func liveRevision(tx *bbolt.Tx, k, v []byte) (*crossfadev1.Revision, error) {
	p, err := unseal(bucketLive, k, v)
	if err != nil {
		return nil, err
	}
	n, err := parseRevision(p)
	if err != nil {
		return nil, err
	}
	return readRevision(tx, n)
}

// readRevision reads one revision.
func readRevision(tx *bbolt.Tx, n int64) (*crossfadev1.Revision, error) {
	key := revisionKey(n)
	v := tx.Bucket(bucketRevisions).Get(key)
	if v == nil {
		return nil, corrupt("revision %d is missing", n)
	}
	return parseStored(key, v)
}

// parseStored reads an entry of the revisions bucket.
func parseStored(k, v []byte) (*crossfadev1.Revision, error) {
	p, err := unseal(bucketRevisions, k, v)
	if err != nil {
		return nil, err
	}
	r := &crossfadev1.Revision{}
	if err := proto.Unmarshal(p, r); err != nil {
		return nil, corrupt("a revision cannot be read: %v", err)
	}
	return r, nil
}

// Close waits for the write in progress, refuses what waits behind it, and releases the file. It may be called again.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.stop)
		<-s.stopped
		if s.poison.Load() != nil {
			// bbolt may hold its own locks for ever. The mapping stays, and would keep the lock of the file.
			s.closeErr = errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
			return
		}
		s.closeErr = s.db.Close()
	})
	return s.closeErr
}

// done says why ctx ended, as a store.ErrUnavailable.
func done(ctx context.Context, what string) error { return unavailable(what, ctx.Err()) }
