// Package roster keeps in a file which proxies were seen, so that a server that was restarted knows whom it misses.
//
// The file is a note: nobody waits for it, and what it says is at most a few seconds old. It is replaced whole, but not forced to the disk,
// so as not to keep the store waiting there; it outlives the process, and mostly a crash of the machine. A disk that is full or slow
// makes it older, which the log says once.
package roster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

const (
	// Every is how often it is looked whether there is something to write.
	Every = 2 * time.Second
	// refresh is how old the time may be at which a connected proxy was seen.
	refresh = time.Minute
	// maxSize bounds the file, in bytes: xds.MaxMemories with the longest names.
	maxSize = 16 << 20
	version = 1
)

// content is what the file says.
type content struct {
	Version int          `json:"version"`
	Proxies []xds.Memory `json:"proxies"`
}

// File is the file. Its methods are called one after the other.
type File struct {
	path    string
	log     *slog.Logger
	saved   []xds.Memory
	failing bool
}

// Open names the file; it need not exist.
func Open(path string, log *slog.Logger) *File { return &File{path: path, log: log} }

// Read returns what the file says. Where it cannot be read, the log says what that means, and the next write replaces it.
func (f *File) Read() []xds.Memory {
	memories, err := f.read()
	if err != nil {
		f.log.Warn("the file of proxies cannot be read: proxies that were seen before and do not come back are not known to be lost", "file", f.path, "error", err)
	}
	return memories
}

func (f *File) read() ([]xds.Memory, error) {
	data, err := notefile.Read(f.path, maxSize)
	if data == nil || err != nil {
		return nil, err
	}
	return parse(data)
}

// parse reads the content of a file.
func parse(data []byte) ([]xds.Memory, error) {
	var c content
	if len(data) > maxSize {
		return nil, fmt.Errorf("it has more than %d MiB", maxSize>>20)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if c.Version != version {
		return nil, fmt.Errorf("it has version %d, this program reads %d", c.Version, version)
	}
	return c.Proxies, nil
}

// Run writes what seen returns, where that has changed, until ctx ends, and then once more.
func (f *File) Run(ctx context.Context, seen func() []xds.Memory) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.save(seen())
		case <-ctx.Done():
			f.save(seen())
			return
		}
	}
}

// save writes what has changed.
func (f *File) save(now []xds.Memory) {
	if same(f.saved, now) {
		return
	}
	err := f.write(now)
	switch {
	case err == nil:
		f.saved = now
		if f.failing {
			f.log.Info("the file of proxies is written again", "file", f.path)
		}
	case !f.failing:
		f.log.Warn("the file of proxies cannot be written: after a restart, proxies that were seen since and do not come back would not be known to be lost", "file", f.path, "error", err)
	}
	f.failing = err != nil
}

// write replaces the file.
func (f *File) write(memories []xds.Memory) error {
	data, err := json.Marshal(content{version, memories})
	if err != nil {
		return err
	}
	return notefile.Replace(f.path, append(data, '\n'))
}

// same says whether nothing differs but a moment.
func same(a, b []xds.Memory) bool {
	if len(a) != len(b) {
		return false
	}
	for i, m := range a {
		if d := b[i].LastSeen.Sub(m.LastSeen); d < 0 || d >= refresh {
			return false
		}
		m.LastSeen = b[i].LastSeen
		if m != b[i] {
			return false
		}
	}
	return true
}
