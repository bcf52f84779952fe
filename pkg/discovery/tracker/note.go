package tracker

import (
	"context"
	"log/slog"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
)

const (
	// Every is how far apart two writes of the file are, at least.
	Every = time.Second
	// refresh is how old the times of looks in the file may be.
	refresh = time.Minute
)

// note keeps what is believed in a file. Nobody waits for it. Like any note it is replaced whole and not forced to the disk: it outlives
// the process, and mostly a crash of the machine.
type note struct {
	path  string // empty: there is none
	log   *slog.Logger
	dirty chan struct{} // holds one: there may be something to write

	// The rest is for one goroutine at a time.
	encoder encoder
	failing bool
	full    bool
}

func newNote(path string, log *slog.Logger) *note {
	return &note{path: path, log: log, dirty: make(chan struct{}, 1), encoder: encoder{room: maxSize}}
}

// touch says that there may be something to write. It does not block.
func (n *note) touch() {
	select {
	case n.dirty <- struct{}{}:
	default:
	}
}

// run writes what records returns whenever that has changed, until ctx ends.
func (n *note) run(ctx context.Context, records func() []state) {
	if n.path == "" {
		return
	}
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-n.dirty:
		case <-tick.C:
		}
		if n.save(records()) != nil {
			n.touch()
		}
		pause.Reset(Every)
	}
}

// read returns what the file says.
func (n *note) read() []record {
	if n.path == "" {
		return nil
	}
	records, err := readFile(n.path)
	if err != nil {
		n.log.Warn("the file of endpoints cannot be read: origins whose source fails have no endpoints until it works", "file", n.path, "error", err)
	}
	return records
}

// save writes the file, and says in the log where that begins or ends to fail.
func (n *note) save(states []state) error {
	if n.path == "" {
		return nil
	}
	data, left := n.encoder.encode(states)
	if left > 0 != n.full {
		if n.full = left > 0; n.full {
			n.log.Warn("the file of endpoints is full: after a restart, the largest origins would have none until their sources tell",
				"file", n.path, "bytes", n.encoder.room, "leftOut", left)
		} else {
			n.log.Info("the file of endpoints has room for all of them again", "file", n.path)
		}
	}
	err := notefile.Replace(n.path, data)
	switch {
	case err != nil && !n.failing:
		n.log.Warn("the file of endpoints cannot be written: after a restart, origins whose source fails would have those of an earlier time",
			"file", n.path, "error", err)
	case err == nil && n.failing:
		n.log.Info("the file of endpoints is written again", "file", n.path)
	}
	n.failing = err != nil
	return err
}
