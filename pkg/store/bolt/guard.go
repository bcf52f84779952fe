package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// errPanic marks a store.ErrCorrupt that was a panic or a fault.
var errPanic = errors.New("reading the file failed")

// guard calls fn, which uses the mapped file, and turns a panic or a fault in it into store.ErrCorrupt.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w: %v", store.ErrCorrupt, errPanic, p)
		}
	}()
	return fn()
}

// begin starts a transaction. bbolt keeps its locks when it panics here, so nobody may call it again afterwards.
func (s *Store) begin(writable bool) (tx *bbolt.Tx, err error) {
	if err := s.poison.Load(); err != nil {
		return nil, *err
	}
	panicked := guard(func() error {
		tx, err = s.db.Begin(writable)
		return nil
	})
	if panicked != nil {
		s.poison.CompareAndSwap(nil, &panicked)
		return nil, panicked
	}
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return nil, errClosed
	}
	if err != nil {
		return nil, unavailable("the file cannot be used", err)
	}
	return tx, nil
}

// unavailable is a store.ErrUnavailable with what happened and why.
func unavailable(what string, cause error) error {
	return &unavailableError{what: what, cause: cause}
}

// unavailableError keeps the cause for errors.Is.
type unavailableError struct {
	what  string
	cause error // may be nil
}

// Error gives the sentence for people.
func (e *unavailableError) Error() string {
	s := store.ErrUnavailable.Error() + ": " + e.what
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap makes it a store.ErrUnavailable and its cause.
func (e *unavailableError) Unwrap() []error {
	if e.cause == nil {
		return []error{store.ErrUnavailable}
	}
	return []error{store.ErrUnavailable, e.cause}
}

var errClosed = unavailable("it is closed", nil)
