package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

const (
	// progressAfter is how long a backup takes until it says how far it is, and progressEvery how often.
	progressAfter = 2 * time.Second
	progressEvery = 2 * time.Second
)

func newBackup(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Write a copy of all that the server's store holds",
		Long: `Write a backup: every service, fleet, experiment and rollout, the history that is kept, and rollbacks that are live and not recorded yet.
It is of one revision; changes go on meanwhile. FILE has its name only once it is whole: an interrupted backup leaves no file.

"xds-server restore --from FILE --data-dir DIR" makes a data directory of it. docs/operations.md says what is not in it, and how proxies
behave afterwards. A backup holds documents and reasons as they were written: keep it as you keep those.`,
		Args: exactly("FILE"),
		RunE: a.do(func(ctx context.Context, args []string) error { return a.backup(ctx, args[0], force) }),
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")
	return cmd
}

func (a *app) backup(ctx context.Context, path string, force bool) error {
	f, err := newOutput(path, force)
	if err != nil {
		return err
	}
	defer f.discard()
	c, err := a.admin()
	if err != nil {
		return err
	}
	stream, err := c.Backup(ctx, &crossfadev1.BackupRequest{})
	if err != nil {
		return err
	}
	r := &received{app: a, out: f, sum: sha256.New(), began: time.Now()}
	if err := r.run(stream); err != nil {
		return err
	}
	if err := f.keep(); err != nil {
		return err
	}
	tree := manifest.Map()
	manifest.Put(tree, "file", manifest.Str(path))
	manifest.Put(tree, "revision", manifest.Int(int(r.begin.GetRevision())))
	manifest.Put(tree, "revisions", manifest.Int(int(r.end.GetRevisions())))
	manifest.Put(tree, "live", manifest.Int(int(r.end.GetLive())))
	manifest.Put(tree, "journalEntries", manifest.Int(int(r.begin.GetJournalEntries())))
	manifest.Put(tree, "bytes", manifest.Int(int(r.end.GetBytes())))
	manifest.Put(tree, "sha256", manifest.Str(fmt.Sprintf("%x", r.end.GetSha256())))
	return a.show(tree, func() {
		a.say("%s: revision %d, %d live, %d of history, %s", path, r.begin.GetRevision(), r.end.GetLive(), r.end.GetRevisions(), sizeWords(r.end.GetBytes()))
		if n := r.begin.GetJournalEntries(); n > 0 {
			a.say("In it as well: %s, live and not recorded yet.", count(int64(n), "rollback"))
		}
	})
}

// received is a backup as it arrives.
type received struct {
	app   *app
	out   io.Writer
	sum   hash.Hash
	bytes int64
	began time.Time
	told  time.Time // when progress was last said
	begin *crossfadev1.BackupBegin
	end   *crossfadev1.BackupEnd
}

func (r *received) run(stream grpc.ServerStreamingClient[crossfadev1.BackupResponse]) error {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return r.check()
		case err != nil:
			return err
		}
		switch part := m.GetPart().(type) {
		case *crossfadev1.BackupResponse_Begin:
			r.begin = part.Begin
		case *crossfadev1.BackupResponse_Data:
			r.sum.Write(part.Data)
			r.bytes += int64(len(part.Data))
			if _, err := r.out.Write(part.Data); err != nil {
				return cannotWrite("", err)
			}
			r.progress(time.Now())
		case *crossfadev1.BackupResponse_End:
			r.end = part.End
		}
	}
}

// check holds what arrived against what the server says that it sent.
func (r *received) check() error {
	if r.begin == nil || r.end == nil || r.end.GetBytes() != r.bytes || !bytes.Equal(r.end.GetSha256(), r.sum.Sum(nil)) {
		return &failure{exit: exitUnavailable, problems: []problem{{
			code: "incomplete", message: fmt.Sprintf("the backup did not arrive whole: %d bytes", r.bytes), next: "try again; no file was written",
		}}}
	}
	return nil
}

func (r *received) progress(now time.Time) {
	if now.Sub(r.began) >= progressAfter && now.Sub(r.told) >= progressEvery {
		r.told = now
		r.app.note("%s received; history of %d revisions", sizeWords(r.bytes), r.begin.GetRevisions())
	}
}

func sizeWords(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// admin connects on first use, as client does.
func (a *app) admin() (crossfadev1.AdminServiceClient, error) {
	if _, err := a.client(); err != nil {
		return nil, err
	}
	return crossfadev1.NewAdminServiceClient(a.conn), nil
}

// output is a file that has its name only once it is whole.
type output struct {
	*os.File
	path  string
	force bool
	kept  bool
}

// newOutput makes a file beside where it will be.
func newOutput(path string, force bool) (*output, error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, exists(path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // for this user alone
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	return &output{File: f, path: path, force: force}, nil
}

func exists(path string) *failure {
	f := badValue("file_exists", "FILE", path, "exists")
	f.problems[0].next = "name another, or add --force to replace it"
	return f
}

// keep makes the file durable and gives it its name.
func (o *output) keep() error {
	err := errors.Join(o.Sync(), o.Close())
	if err == nil && o.force {
		err = os.Rename(o.Name(), o.path)
	} else if err == nil { // unlike a rename it replaces nothing
		if err = os.Link(o.Name(), o.path); errors.Is(err, fs.ErrExist) {
			return exists(o.path)
		}
	}
	if err != nil {
		return cannotWrite(o.path, err)
	}
	o.kept = o.force
	if dir, err := os.Open(filepath.Dir(o.path)); err == nil {
		_ = errors.Join(dir.Sync(), dir.Close()) // where a directory cannot be synced, the file is there all the same
	}
	return nil
}

// discard removes what is left under the other name.
func (o *output) discard() {
	if !o.kept {
		_ = o.Close() // perhaps again
		_ = os.Remove(o.Name())
	}
}

func cannotWrite(path string, err error) *failure {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		err = l.Err
	}
	return &failure{exit: exitInternal, problems: []problem{{code: "bad_file", field: "FILE", value: path, message: "cannot be written: " + err.Error()}}}
}
