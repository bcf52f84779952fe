package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// logs is the log of this process: its level can be changed while it runs, and its last lines are kept.
type logs struct {
	log   *slog.Logger
	level slog.LevelVar
	lines ring

	mu         sync.Mutex
	configured slog.Level
	until      time.Time   // zero: nothing is to end
	back       *time.Timer // nil: none
	sets       uint64      // times that the level was set
}

// openLogs begins a log.
func openLogs(format, level string, w io.Writer) *logs {
	l := &logs{configured: server.LevelNames[level]}
	l.level.Set(l.configured)
	o := &slog.HandlerOptions{Level: &l.level}
	both := io.MultiWriter(w, &l.lines)
	if format == "json" {
		l.log = slog.New(slog.NewJSONHandler(both, o))
	} else {
		l.log = slog.New(slog.NewTextHandler(both, o))
	}
	return l
}

// openLog begins the log of a server.
func (c *config) openLog(w io.Writer) *slog.Logger {
	c.operation.logs = openLogs(c.logFormat, c.operation.logLevel, w)
	return c.operation.logs.log
}

// Set implements server.Levels.
func (l *logs) Set(level slog.Level, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back != nil {
		l.back.Stop()
	}
	l.back, l.until = nil, time.Time{}
	l.sets++
	l.level.Set(level)
	if d <= 0 {
		return
	}
	l.until = time.Now().Add(d)
	set := l.sets
	l.back = time.AfterFunc(d, func() { l.goBack(set) })
}

// goBack ends a level that was to hold for a while, unless another was set meanwhile: it is called with how often one had been set.
func (l *logs) goBack(set uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sets != set {
		return
	}
	l.back, l.until = nil, time.Time{}
	l.level.Set(l.configured)
	l.log.Info("the level of the log is as configured again", "level", server.LevelName(l.configured))
}

// Get implements server.Levels.
func (l *logs) Get() (now, configured slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level.Level(), l.configured, l.until
}

// Bounds of the lines that are kept.
const (
	keptLines     = 2000
	keptLineBytes = 4 << 10 // of one line; more is cut
)

// ring keeps the last lines that are written to it, one with each write. The zero value is empty.
type ring struct {
	mu    sync.Mutex
	lines [keptLines]string
	next  int // where the next one goes
}

// Write implements io.Writer.
func (r *ring) Write(p []byte) (int, error) {
	line := bytes.TrimRight(p, "\n")
	if len(line) > keptLineBytes {
		line = append(line[:keptLineBytes:keptLineBytes], " … (cut)"...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[r.next] = string(line)
	r.next = (r.next + 1) % keptLines
	return len(p), nil
}

// last returns the last lines, at most n; 0: all.
func (r *ring) last(n int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n <= 0 || n > keptLines {
		n = keptLines
	}
	var out strings.Builder
	for i := range n {
		if line := r.lines[(r.next+keptLines-n+i)%keptLines]; line != "" {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}
