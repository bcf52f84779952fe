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
	seen     fs.FileInfo
	failures atomic.Int64
}

func newReloader(path string, keeper *mtls.Keeper, log *slog.Logger) *reloader {
	return &reloader{path: path, keeper: keeper, log: log, seen: stat(path)}
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
			r.seen = stat(r.path)
			r.reload()
		case <-tick.C:
			if now := stat(r.path); !sameFile(now, r.seen) {
				r.seen = now
				r.reload()
			}
		}
	}
}

// reload reads the file.
func (r *reloader) reload() {
	if r.path == "" {
		return
	}
	c := &config{sources: sources{rules: discovery.DefaultRules()}, mirrors: defaultMirrors()}
	if err := fromFile(flags(c), r.path, c); err != nil {
		r.failures.Add(1)
		r.log.Error("the settings file was not read anew; what it said before goes on", "file", r.path, "error", err)
		return
	}
	for _, take := range r.takers {
		take(c)
	}
	r.log.Info("settings read anew: proxies and roles; what else changed comes with a restart", "file", r.path)
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
