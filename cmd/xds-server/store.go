package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
)

// storeCommand is what is done to a data directory that no server uses.
type storeCommand struct {
	about string
	run   func(ctx context.Context, o *storeOptions, stdout io.Writer) error
	from  bool // it takes --from
}

// storeOptions are the flags of these commands.
type storeOptions struct{ dataDir, from string }

var storeCommands = map[string]*storeCommand{
	"check":   {about: "say what is in a data directory, and whether it is whole; changes nothing", run: checkDir},
	"compact": {about: "write the store's file anew, without what holds nothing; a process that is killed meanwhile leaves the old file or the new one", run: compactDir},
	"restore": {about: "make a data directory of a backup, once all of the backup is checked", run: restoreDir, from: true},
}

// onStore runs one of these commands.
func onStore(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name := args[0]
	cmd := storeCommands[name]
	var o storeOptions
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&o.dataDir, "data-dir", "", "work on the data directory `DIR`; no server may use it meanwhile")
	if cmd.from {
		f.StringVar(&o.from, "from", "", "the backup: a `FILE` that `shadowctl backup` wrote")
	}
	help := f.BoolP("help", "h", false, "print this")
	err := f.Parse(args[1:])
	switch {
	case err != nil:
		complain(stderr, policy.Errors{invalid("usage", "", "", err.Error(), "`xds-server "+name+" --help` lists the flags")})
		return exitInvalid
	case *help:
		fmt.Fprintf(stdout, "xds-server %s: %s.\n\nFlags:\n%s", name, cmd.about, f.FlagUsages())
		return exitOK
	}
	if err := o.check(cmd, f.Args()); err != nil {
		complain(stderr, err)
		return exitInvalid
	}
	if err := cmd.run(ctx, &o, stdout); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitOK
}

func (o *storeOptions) check(cmd *storeCommand, args []string) error {
	var found policy.Errors
	if len(args) > 0 {
		found = append(found, invalid("usage", "", args[0], "is not expected here", ""))
	}
	if o.dataDir == "" {
		found = append(found, invalid("required", "--data-dir", "", "is missing", "for example --data-dir ./crossfade-data"))
	}
	if cmd.from && o.from == "" {
		found = append(found, invalid("required", "--from", "", "is missing: the file of a backup", "`shadowctl backup FILE` makes one"))
	}
	return found.Err()
}

// checkDir says what is in a data directory.
func checkDir(ctx context.Context, o *storeOptions, stdout io.Writer) error {
	if err := checkRestored(o.dataDir); err != nil {
		return err
	}
	c, err := bolt.Inspect(ctx, filepath.Join(o.dataDir, storeFile))
	if err != nil {
		return openError(o.dataDir, err)
	}
	pending, err := inspectJournal(o.dataDir)
	if err != nil {
		return openError(o.dataDir, err)
	}
	var live []string
	for _, kind := range slices.Sorted(maps.Keys(c.Live)) {
		live = append(live, fmt.Sprintf("%d %s", c.Live[kind], plural(strings.ToLower(kind), c.Live[kind])))
	}
	if live == nil {
		live = []string{"nothing"}
	}
	fmt.Fprintf(stdout, "store      whole: %s live at revision %d\n", strings.Join(live, ", "), c.Revision)
	fmt.Fprintf(stdout, "history    %d revisions are kept%s, %d idempotency keys\n", c.Revisions, from(c.Oldest), c.Keys)
	fmt.Fprintf(stdout, "file       %d bytes, %.0f%% of it free, format %d\n", c.Usage.Bytes, 100*c.Usage.FreeShare(), c.Schema)
	switch pending {
	case 0:
		fmt.Fprintln(stdout, "journal    empty: every rollback is recorded")
	default:
		fmt.Fprintf(stdout, "journal    %d %s not recorded; a server that starts makes such rollbacks live and records them\n", pending, plural("rollback", pending))
	}
	return nil
}

func plural(what string, n int) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

func from(oldest int64) string {
	if oldest == 0 {
		return ""
	}
	return fmt.Sprintf(" from %d on", oldest)
}

// inspectJournal counts the entries of a rollback journal; a directory without one has none.
func inspectJournal(dir string) (int, error) {
	path := filepath.Join(dir, journalFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	j, err := journal.Open(path)
	if err != nil {
		return 0, err
	}
	return len(j.Pending()), j.Close()
}

// compactDir writes the store's file anew.
func compactDir(_ context.Context, o *storeOptions, stdout io.Writer) error {
	if err := checkRestored(o.dataDir); err != nil {
		return err
	}
	before, after, err := bolt.Compact(filepath.Join(o.dataDir, storeFile))
	if err != nil {
		return openError(o.dataDir, err)
	}
	fmt.Fprintf(stdout, "%s: %d bytes before, %d now\n", storeFile, before.Bytes, after.Bytes)
	return nil
}

// usage is how large the store's file is, and which share of it holds nothing.
func (d *disk) usage() (int64, float64, error) {
	u, err := d.store.Usage()
	return u.Bytes, u.FreeShare(), err
}

// storeCorrupt says that an error is about what is in a file, not about the disk.
func storeCorrupt(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNewerVersion)
}
