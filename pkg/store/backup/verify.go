package backup

import (
	"errors"
	"io"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Summary is what is in a backup.
type Summary struct {
	Header    Header
	Revision  int64 // the last
	Revisions int   // that are in it
	Live      int   // objects
	Journal   int   // entries of the rollback journal
}

// Read reads a backup to its end, checks that all of it is whole and true of itself, and calls visit with every record, where it is not nil.
// Errors: store.ErrCorrupt, store.ErrNewerVersion, those of in and of visit.
func Read(in io.Reader, visit func(Record) error) (Summary, error) {
	r, err := NewReader(in)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Header: r.Header}
	var seq store.Sequence
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			if err := seq.End(); err != nil {
				return s, misfit(err)
			}
			s.Revision = seq.Last()
			s.Revisions, s.Live = seq.Counts()
			return s, nil
		}
		if err != nil {
			return s, err
		}
		if record.Journal != nil {
			s.Journal++
		} else if err := seq.Add(record.Item); err != nil {
			return s, misfit(err)
		}
		if visit != nil {
			if err := visit(record); err != nil {
				return s, err
			}
		}
	}
}

// misfit says of items that are not true of each other what is likely: the checksum, which comes last, would say it too.
func misfit(err error) error {
	return damaged("%s", strings.TrimPrefix(err.Error(), store.ErrCorrupt.Error()+": "))
}
