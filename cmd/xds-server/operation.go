package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// operation is what a server is told of how it is run.
type operation struct {
	logLevel  string
	profiling bool
	keep      days
	most      int

	logs *logs // once the log is open
}

const (
	// leastHistory is how many of the newest revisions stay whatever their age. By them a server knows at its start what proxies have; see
	// pkg/control, stampHistory.
	leastHistory = 10_000
	// trimEvery is how often history is trimmed. What is beyond its bounds for so long does no harm.
	trimEvery = time.Hour
	// trimFirst is when that is done first: when a server starts there is more important work.
	trimFirst = time.Minute

	minKeep, maxKeep = 2 * 24 * time.Hour, 100 * 365 * 24 * time.Hour
)

// operationFlags are the flags about it.
func operationFlags(c *config, f *pflag.FlagSet) {
	o := &c.operation
	o.keep = days(90 * 24 * time.Hour)
	f.StringVar(&o.logLevel, "log-level", "info", "what the log tells: `debug|info|warn|error`; `shadowctl admin log-level` changes it")
	f.Var(&o.keep, "history-keep", "keep revisions for so `LONG` (90d, 720h); what is live and undo stay whatever their age, and the newest 10,000")
	f.IntVar(&o.most, "history-max", 100_000, "keep at most `N` revisions, however young; 10000 or more, 0: no bound")
	f.BoolVar(&o.profiling, "profiling", false, "serve /debug/pprof at --http-listen: it shows how the server works and slows it while it is used")
}

// check returns what is wrong with it.
func (o *operation) check() policy.Errors {
	var found policy.Errors
	if _, ok := server.LevelNames[o.logLevel]; !ok {
		found = append(found, invalid("bad_setting", "--log-level", o.logLevel, "must be debug, info, warn or error", ""))
	}
	if k := time.Duration(o.keep); k < minKeep || k > maxKeep {
		found = append(found, invalid("bad_setting", "--history-keep", o.keep.String(), "must be 2d to 36500d: idempotency keys need the first day", "for example 90d"))
	}
	if o.most != 0 && (o.most < leastHistory || o.most > 1<<30) {
		found = append(found, invalid("bad_setting", "--history-max", strconv.Itoa(o.most), fmt.Sprintf("must be %d or more, or 0 for no bound", leastHistory), ""))
	}
	return found
}

// profiled adds profiles to the handler of the HTTP listener, where they are wanted.
func (o *operation) profiled(h http.Handler) http.Handler {
	if !o.profiling {
		return h
	}
	return server.WithProfiling(h)
}

func (o *operation) retention() store.Retention {
	return store.Retention{Keep: time.Duration(o.keep), Most: o.most, Least: leastHistory}
}

// trimHistory removes what is not kept, every now and then until ctx ends.
func (o *operation) trimHistory(ctx context.Context, s store.Store, log *slog.Logger) {
	next := time.NewTimer(trimFirst)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		began := time.Now()
		n, err := s.Trim(ctx, o.retention(), began)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn("history could not be trimmed; it is tried again", "removed", n, "error", err, "again", trimEvery)
		case n > 0:
			log.Info("history was trimmed", "removed", n, "took", time.Since(began))
		}
		next.Reset(trimEvery)
	}
}

// days is a duration that may be written in days: "90d".
type days time.Duration

// Set implements pflag.Value.
func (d *days) Set(s string) error {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a number of days", s)
		}
		*d = days(time.Duration(v) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90d or 720h", s)
	}
	*d = days(v)
	return nil
}

// String implements pflag.Value.
func (d *days) String() string {
	v := time.Duration(*d)
	if day := 24 * time.Hour; v > 0 && v%day == 0 {
		return strconv.Itoa(int(v/day)) + "d"
	}
	return v.String()
}

// Type implements pflag.Value.
func (*days) Type() string { return "duration" }
