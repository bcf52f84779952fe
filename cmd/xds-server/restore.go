package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/backup"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
)

// restoreDir makes a data directory of a backup.
func restoreDir(ctx context.Context, o *storeOptions, stdout io.Writer) error {
	f, err := os.Open(o.from)
	if err != nil {
		return invalid("bad_file", "--from", o.from, "cannot be read: "+reason(err), "")
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return invalid("bad_file", "--from", o.from, "is not a regular file: it is read twice", "")
	}
	if err := checkEmpty(o.dataDir); err != nil {
		return err
	}
	s, err := backup.Read(f, func(backup.Record) error { return ctx.Err() }) // all of it, before anything is written
	if err != nil {
		return backupError(o.from, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return backupError(o.from, err)
	}
	if err := writeRestored(ctx, o.dataDir, f, s); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "restored %d live objects at revision %d, with %d revisions of history, from a backup of %s made by %s\n",
		s.Live, s.Revision, s.Revisions, s.Header.Made.Format("2006-01-02 15:04:05 MST"), s.Header.Version)
	if s.Journal > 0 {
		fmt.Fprintf(stdout, "with it: %d %s, live and not recorded yet; the server makes that live again and records it\n", s.Journal, plural("rollback", s.Journal))
	}
	fmt.Fprintf(stdout, `Rollouts that were on their way begin paused.
Proxies with a newer change of weights or pins keep those, and their listeners and routes, until somebody decides: "shadowctl fleet" shows them as held.
Clusters and the endpoints that documents name are the backup's at every proxy that connects, and so is all else where the newer changes were of no weight or pin.
Compare first, where no proxy reaches it: start xds-server --data-dir %s --xds-listen 127.0.0.1:0 and your other flags, then
shadowctl diff -f FILE with the documents that you applied last. Apply what differs, and start it as usual.
`, o.dataDir)
	return nil
}

// writeRestored writes what was checked, and checks that it is what was checked.
func writeRestored(ctx context.Context, dir string, f io.Reader, want backup.Summary) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError("data_dir", dir, "cannot be made: "+reason(err))
	}
	m, err := claim(dir)
	if err != nil {
		return err
	}
	return errors.Join(m.fill(ctx, f, want), m.close())
}

// fill makes store and journal.
func (m *mark) fill(ctx context.Context, f io.Reader, want backup.Summary) error {
	if err := m.clear(); err != nil {
		return err
	}
	entries, err := importStore(ctx, filepath.Join(m.dir, storeFile), f, want)
	if err != nil {
		return importError(m.dir, err)
	}
	if err := importJournal(ctx, filepath.Join(m.dir, journalFile), entries); err != nil {
		return importError(m.dir, err)
	}
	if err := m.done(); err != nil {
		return diskError("data_dir", m.dir, "cannot be written: "+reason(err))
	}
	return nil
}

// importStore makes the store, and returns the entries of the journal.
func importStore(ctx context.Context, path string, f io.Reader, want backup.Summary) (entries [][]byte, err error) {
	r, err := backup.NewReader(f)
	if err != nil {
		return nil, err
	}
	if r.Header != want.Header {
		return nil, fmt.Errorf("%w: the backup changed while it was read", store.ErrCorrupt)
	}
	err = bolt.Import(path, func() (store.Item, error) {
		for {
			record, err := r.Next()
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || record.Journal == nil {
				return record.Item, err
			}
			entries = append(entries, record.Journal)
		}
	})
	return entries, err
}

func importJournal(ctx context.Context, path string, entries [][]byte) error {
	j, err := journal.Open(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, err := j.Append(ctx, entry); err != nil {
			return errors.Join(err, j.Close())
		}
	}
	return j.Close()
}

func importError(dir string, err error) error {
	if errors.Is(err, context.Canceled) {
		return diskError("interrupted", dir, "the restore was interrupted: run it again")
	}
	return openError(dir, err)
}

// backupError says what is wrong with a backup.
func backupError(path string, err error) error {
	e := &policy.Error{Kind: policy.Invalid, Code: "backup_damaged", Field: "--from", Value: path, Message: err.Error(), Next: "take another backup; nothing was written"}
	switch {
	case errors.Is(err, store.ErrNewerVersion):
		e.Code, e.Next = "backup_newer", "use the version of Crossfade that made it, or a later one; nothing was written"
	case errors.Is(err, context.Canceled):
		e.Code, e.Message, e.Next = "interrupted", "the restore was interrupted", "nothing was written"
	case !storeCorrupt(err):
		e.Code, e.Message = "bad_file", "cannot be read: "+reason(err)
	}
	return e
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// settleRestored forgets that a directory was made of a backup once none of the rollouts is on its way, until ctx ends: a server that is killed
// before pauses them when it is started again.
func (p *parts) settleRestored(ctx context.Context, dir string, log *slog.Logger) {
	if !isRestored(dir) {
		return
	}
	log.Warn("this data directory was made of a backup: rollouts that were on their way are paused, and proxies with newer changes keep what they have until somebody decides")
	for _, r := range p.control.Rollouts("") {
		for onItsWay(r) {
			changed := p.control.RolloutChanged(r.GetName())
			if r, _ = p.control.Rollout(r.GetName()); !onItsWay(r) {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, restoredFile)), syncDir(dir)); err != nil {
		log.Warn("it is not forgotten that this directory was made of a backup: rollouts are paused again at the next start", "error", err)
	}
}

// onItsWay says whether a rollout may raise weights by itself.
func onItsWay(r *crossfadev1.RolloutStatus) bool {
	switch rollout.Phase(r.GetState()) {
	case rollout.Pending, rollout.Progressing, rollout.Baking, rollout.AwaitingGate:
		return true
	}
	return false
}
