package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// fileLookEvery is how often the settings file is looked at.
const fileLookEvery = time.Second

// reloader takes from the settings file what may change while the server runs, when the file changes and on SIGHUP. A bad file changes nothing.
type reloader struct {
	path     string // of the settings file; empty: none
	keeper   *mtls.Keeper
	log      *slog.Logger
	takers   []func(*config) // told what a good file says, in this order
	keys     map[string]int  // of the file that holds
	looked   fs.FileInfo     // as the last look saw it
	seen     fs.FileInfo     // as it was when it was last read
	failures atomic.Int64
}

// newReloader returns the reloader of the file that c was read from.
func newReloader(c *config, keeper *mtls.Keeper, log *slog.Logger) *reloader {
	return &reloader{path: c.file, keeper: keeper, log: log, keys: c.fileKeys, looked: c.fileSeen, seen: c.fileSeen}
}

// take has a function told what the file says whenever it was read anew. Call it before run. Only the sections of what it gets are the file's.
func (r *reloader) take(f func(*config)) { r.takers = append(r.takers, f) }

// hangups returns SIGHUPs from now on, which would end the process otherwise, and a function that ends that.
func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// run looks at the file until ctx ends.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	tick := time.NewTicker(fileLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.log.Info("SIGHUP: reading files anew")
			if r.keeper != nil {
				_ = r.keeper.Reload() // it says so itself
			}
			r.looked = stat(r.path)
			r.reload()
		case <-tick.C:
			r.look()
		}
	}
}

// look reads the file if it has changed, and two looks in a row see the same: who writes it in place has it empty for a moment, or half.
func (r *reloader) look() {
	before := r.looked
	r.looked = stat(r.path)
	if sameFile(r.looked, before) && !sameFile(r.looked, r.seen) {
		r.reload()
	}
}

// reload reads the file.
func (r *reloader) reload() {
	if r.path == "" {
		return
	}
	r.seen = r.looked
	c := &config{sources: sources{rules: discovery.DefaultRules()}, mirrors: defaultMirrors()}
	err := fromFile(flags(c), r.path, c)
	if err == nil {
		err = r.lost(c)
	}
	if err != nil {
		r.failures.Add(1)
		r.log.Error("the settings file was not read anew; what it said before goes on", "file", r.path, "error", err)
		return
	}
	r.keys = c.fileKeys
	for _, take := range r.takers {
		take(c)
	}
	r.log.Info("settings read anew: proxies and roles; what else changed comes with a restart", "file", r.path)
}

// lost refuses a file that has lost what would cut off everybody: it was caught while it was written, or that is a mistake. After a restart it counts.
func (r *reloader) lost(c *config) error {
	if len(c.fileKeys) == 0 && len(r.keys) > 0 {
		return invalid("settings_gone", "--config", "", "is empty, and was not", "write it again; to run without settings, restart the server")
	}
	for _, section := range []struct{ name, none string }{{"proxies", "`proxies: []`"}, {"roles", "`roles: {}`"}} {
		if r.keys[section.name] > 0 && c.fileKeys[section.name] == 0 {
			return invalid("settings_gone", section.name, "", "is not in the file any more, and without this section nobody is let in",
				"put it back; if that is meant, write "+section.none+", or restart the server")
		}
	}
	return nil
}

// stat looks at a file, through links; nil: it is not there.
func stat(path string) fs.FileInfo {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return info
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
