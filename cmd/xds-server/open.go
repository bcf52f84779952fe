package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
)

// Files of the data directory.
const (
	storeFile   = "store.db"
	journalFile = "rollback.journal"
	rosterFile  = "proxies.json"

	endpointsFile = "endpoints.json"
	// attemptsFile is a note of calls that were refused.
	attemptsFile = "denied.json"
	mirrorsDir   = "mirrors"
	rolloutsDir  = "rollouts"
)

// disk is what is kept over a restart.
type disk struct {
	store   *bolt.Store
	journal *journal.Journal
}

// openDisk opens the store and the journal, or makes them. Two servers cannot have the same directory.
func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, diskError("data_dir", dir, "cannot be made: "+reason(err))
	}
	if err := checkRestored(dir); err != nil {
		return nil, err
	}
	s, err := bolt.Open(filepath.Join(dir, storeFile), bolt.Options{})
	if err != nil {
		return nil, openError(dir, err)
	}
	if err := checkRestored(dir); err != nil { // once more: a restore that began meanwhile saw no store, and this is a new one
		return nil, errors.Join(err, s.Close())
	}
	j, err := journal.Open(filepath.Join(dir, journalFile))
	if err != nil {
		return nil, errors.Join(openError(dir, err), s.Close())
	}
	return &disk{store: s, journal: j}, nil
}

func (d *disk) close() error {
	return errors.Join(wrap("close the rollback journal", d.journal.Close()), wrap("close the store", d.store.Close()))
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// openError gives the store's sentence, which says what to do, a code.
func openError(dir string, err error) error {
	code := "store_unavailable"
	switch {
	case errors.Is(err, store.ErrCorrupt):
		code = "store_corrupt"
	case errors.Is(err, store.ErrNewerVersion):
		code = "store_newer"
	}
	return diskError(code, dir, err.Error())
}

func diskError(code, dir, message string) error {
	return &policy.Error{Kind: policy.Unavailable, Code: code, Field: "--data-dir", Value: dir, Message: message}
}
