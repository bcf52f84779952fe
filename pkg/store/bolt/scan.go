package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// scan is what a walk through the whole file gathers.
type scan struct {
	format []byte // nil: none
	head   []byte // nil: none
	found  head   // number and sum of the entries that are there
	bad    error  // the first damaged entry
}

// verify reads the whole file and says whether it is an undamaged store of this version.
func verify(f io.ReaderAt, size int64) (head, error) {
	if size == 0 {
		return head{}, corrupt("the file is empty: it was cut off, or made by something else")
	}
	var s scan
	if err := walk(f, size, s.entry); err != nil {
		return head{}, err
	}
	if s.format == nil {
		if s.bad != nil {
			return head{}, s.bad
		}
		return head{}, corrupt("the file is a bbolt file of another program")
	}
	version, err := parseFormat(s.format)
	if err != nil {
		return head{}, err
	}
	if version > schemaVersion {
		return head{}, fmt.Errorf("%w: the file has schema version %d, this program reads up to %d", store.ErrNewerVersion, version, schemaVersion)
	}
	if version < schemaFirst {
		return head{}, corrupt("there is no schema version %d", version)
	}
	return s.check()
}

// check compares what the head says with what is there.
func (s *scan) check() (head, error) {
	if s.bad != nil {
		return head{}, s.bad
	}
	if s.head == nil {
		return head{}, corrupt("the head entry is missing")
	}
	h, err := parseHead(s.head)
	if err != nil {
		return head{}, err
	}
	if s.found.entries != h.entries || s.found.sum != h.sum {
		return head{}, corrupt("there are %d entries with sum %016x; the head says %d with %016x",
			s.found.entries, s.found.sum, h.entries, h.sum)
	}
	return h, nil
}

// entry takes one entry of the walk.
func (s *scan) entry(path [][]byte, key, value []byte) {
	if len(path) != 1 {
		s.damaged(corrupt("there is an entry outside the buckets of a store"))
		return
	}
	payload, err := unseal(path[0], key, value)
	if err != nil {
		s.damaged(err)
		return
	}
	if !bytes.Equal(path[0], bucketMeta) {
		s.found.entries++
		s.found.sum += binary.BigEndian.Uint64(value)
		return
	}
	switch {
	case bytes.Equal(key, keyFormat):
		s.format = bytes.Clone(payload)
	case bytes.Equal(key, keyHead):
		s.head = bytes.Clone(payload)
	}
}

func (s *scan) damaged(err error) {
	if s.bad == nil {
		s.bad = err
	}
}
