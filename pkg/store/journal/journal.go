// Package journal keeps a rollback safe where the store cannot: in a small file whose blocks exist beforehand, so that writing to it needs
// no space, and never holding up the caller for longer than it wants to wait.
//
// The file has 64 KiB: a header of one sector, and 127 sectors for entries. An entry begins with its own header and takes as many consecutive
// sectors as it needs. The checksum covers header, data and the place in the file, so an entry that was torn by a crash, or what is left of
// an old one, is not an entry. Entries are written in place with one pwrite and fdatasync; on a file system that copies on write
// (btrfs, ZFS) even that may need space, and then it can fail like any other write.
//
// Who uses it: the control loop appends a rollback before it pushes it, calls Done when the store has it, and after a restart does again what
// is pending. It must not matter whether that is done twice.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

const (
	fileSize   = 64 << 10
	sectorSize = 512
	sectors    = fileSize / sectorSize
	firstSlot  = 1 // sector 0 is the header of the file
)

// MaxEntry is the size in bytes of the largest entry.
const MaxEntry = 16 << 10

// Errors of a journal, besides store.ErrUnavailable (the disk failed, hung, or the journal is closed) and, when opening,
// store.ErrCorrupt and store.ErrNewerVersion.
var (
	// ErrFull: there is no room for the entry until others are done.
	ErrFull = errors.New("the rollback journal is full")
	// ErrTooLarge: the entry is larger than MaxEntry, or empty.
	ErrTooLarge = fmt.Errorf("a journal entry has 1 to %d bytes", MaxEntry)
	// ErrUnknown: no entry has this number.
	ErrUnknown = errors.New("no such journal entry")
)

// ID numbers the entries that are pending, in the order in which they were appended.
type ID uint64

// Entry is what was appended.
type Entry struct {
	ID   ID
	Data []byte
}

// slot is where an entry is.
type slot struct {
	first, count int // sectors
	data         []byte
}

// Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	file *os.File
	work chan func() // what the writer does; not buffered
	stop chan struct{}
	gone chan struct{} // closed when the writer is gone
	once sync.Once

	// flight is set while the writer works, to whether a caller stopped waiting.
	flight atomic.Pointer[atomic.Bool]

	mu   sync.Mutex // never held while writing
	live map[ID]slot
	used [sectors]bool
	next ID

	damaged int // set by opening

	// writeAt writes and makes durable. It is the only call that writes to the file; tests wrap it to stand for a slow, hung or
	// failing disk.
	writeAt func(b []byte, offset int64) error
}

// Append makes an entry durable before it returns, or says why not when ctx ends at the latest. While a write hangs that somebody stopped
// waiting for, it fails at once. An entry whose Append failed may be pending all the same.
func (j *Journal) Append(ctx context.Context, data []byte) (ID, error) {
	if len(data) == 0 || len(data) > MaxEntry {
		return 0, fmt.Errorf("%w: %d", ErrTooLarge, len(data))
	}
	data = slices.Clone(data)
	var id ID
	err := j.do(ctx, func() error {
		s, n, err := j.reserve(data)
		if err != nil {
			return err
		}
		err = j.writeAt(encode(n, s.first, data), int64(s.first)*sectorSize)
		j.mu.Lock()
		j.live[n] = s // also after a failure, which may have left it whole
		j.mu.Unlock()
		if err != nil {
			return errors.Join(unavailable("the entry could not be written", err), j.remove(n))
		}
		id = n
		return nil
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Done removes an entry. After an error it may still be pending when the journal is opened again.
func (j *Journal) Done(ctx context.Context, id ID) error {
	return j.do(ctx, func() error { return j.remove(id) })
}

// DoneWhere removes the entries of which which says so, of their data. What was in doubt before it is so no longer: it waits for earlier writes.
func (j *Journal) DoneWhere(ctx context.Context, which func(data []byte) bool) error {
	return j.do(ctx, func() error {
		for _, e := range j.Pending() {
			if !which(e.Data) {
				continue
			}
			if err := j.remove(e.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// Pending returns the entries that are not done, oldest first. It does not touch the disk. The data belongs to the caller.
func (j *Journal) Pending() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Entry, 0, len(j.live))
	for id, s := range j.live {
		out = append(out, Entry{ID: id, Data: slices.Clone(s.data)})
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Close waits for the write in progress and releases the file. It may be called again.
func (j *Journal) Close() error {
	err := error(nil)
	j.once.Do(func() {
		close(j.stop)
		<-j.gone
		err = j.file.Close()
	})
	return err
}

// reserve finds room for an entry: the first free run that is long enough.
func (j *Journal) reserve(data []byte) (slot, ID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	count := sectorsFor(len(data))
	for first := firstSlot; first+count <= sectors; first++ {
		if slices.Contains(j.used[first:first+count], true) {
			continue
		}
		for i := range count {
			j.used[first+i] = true
		}
		j.next++
		return slot{first: first, count: count, data: data}, j.next, nil
	}
	return slot{}, 0, fmt.Errorf("%w: %d entries are pending", ErrFull, len(j.live))
}

// release makes the room of an entry free. The caller holds mu.
func (j *Journal) release(s slot) {
	for i := range s.count {
		j.used[s.first+i] = false
	}
}

// remove makes an entry none, and its room free. Where that fails it stays pending. Only the writer calls it.
func (j *Journal) remove(id ID) error {
	j.mu.Lock()
	s, ok := j.live[id]
	j.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %d", ErrUnknown, id)
	}
	if err := j.writeAt(make([]byte, sectorSize), int64(s.first)*sectorSize); err != nil {
		return unavailable("the entry could not be removed", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.live, id)
	j.release(s)
	return nil
}

// do has the writer run fn, and waits for it until ctx ends.
func (j *Journal) do(ctx context.Context, fn func() error) error {
	if ctx.Err() != nil {
		return unavailable("nothing was tried", ctx.Err())
	}
	if f := j.flight.Load(); f != nil && f.Load() {
		return unavailable("an earlier write hangs in the disk", nil)
	}
	result := make(chan error, 1)
	select {
	case j.work <- func() { result <- fn() }:
	case <-j.stop:
		return unavailable("it is closed", nil)
	case <-ctx.Done():
		j.abandon()
		return unavailable("an earlier write hangs in the disk", ctx.Err())
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		j.abandon()
	}
	select {
	case err := <-result: // it came back at the same time
		return err
	default:
		return unavailable("the disk did not answer in time; in doubt", ctx.Err())
	}
}

// abandon notes that nobody waits for the write in progress any more.
func (j *Journal) abandon() {
	if f := j.flight.Load(); f != nil {
		f.Store(true)
	}
}

// write is the writer. It ends when the journal is closed.
func (j *Journal) write() {
	defer close(j.gone)
	for {
		select {
		case <-j.stop:
			return
		case fn := <-j.work:
			j.flight.Store(new(atomic.Bool))
			fn()
			j.flight.Store(nil)
		}
	}
}

// unavailable is a store.ErrUnavailable with what happened and why.
func unavailable(what string, cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: rollback journal: %s", store.ErrUnavailable, what)
	}
	return fmt.Errorf("%w: rollback journal: %s: %w", store.ErrUnavailable, what, cause)
}

// Damaged is how many entries were found that are not whole when the journal was opened: torn by a crash, in which case nobody was answered, or
// damaged since, in which case a rollback is lost that somebody relies on. It cannot be told which.
func (j *Journal) Damaged() int { return j.damaged }
