package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Header is what a backup says of itself.
type Header struct {
	Made    time.Time
	Version string // of the program that made it
}

// Writer writes a backup. After an error it is of no use.
type Writer struct {
	out     io.Writer
	sum     hash.Hash
	records uint64
	bytes   int64
}

// NewWriter begins a backup.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	w := &Writer{out: out, sum: sha256.New()}
	if err := w.write(binary.BigEndian.AppendUint32([]byte(magic), version)); err != nil {
		return nil, err
	}
	return w, w.record(typeHeader, append(appendTime(nil, h.Made), h.Version...))
}

// Journal adds an entry of the rollback journal.
func (w *Writer) Journal(data []byte) error { return w.record(typeJournal, data) }

// Item adds what a store holds, in the order in which it exports it.
func (w *Writer) Item(i store.Item) error {
	be := binary.BigEndian
	switch {
	case i.Head != nil:
		b := be.AppendUint64(nil, uint64(i.Head.Revision))
		return w.record(typeHead, be.AppendUint64(b, uint64(i.Head.Revisions)))
	case i.Revision != nil:
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(i.Revision)
		if err != nil {
			return fmt.Errorf("revision %d: %w", i.Revision.GetRevision(), err)
		}
		return w.record(typeRevision, b)
	case i.Live != nil:
		b := be.AppendUint64(nil, uint64(i.Live.Revision))
		return w.record(typeLive, append(append(append(b, i.Live.Key.Kind...), 0), i.Live.Key.Name...))
	case i.Used != nil:
		b := be.AppendUint64(appendTime(nil, i.Used.Time), uint64(i.Used.First))
		b = be.AppendUint64(b, uint64(i.Used.Count))
		b = append(be.AppendUint32(b, uint32(len(i.Used.Digest))), i.Used.Digest...)
		return w.record(typeUsed, append(b, i.Used.Key...))
	}
	return fmt.Errorf("%w: an empty item", store.ErrInvalid)
}

// End writes the end. The backup is whole when it returns.
func (w *Writer) End() error {
	if err := w.record(typeEnd, binary.BigEndian.AppendUint64(nil, w.records)); err != nil {
		return err
	}
	return w.write(w.sum.Sum(nil))
}

// Bytes returns how much was written.
func (w *Writer) Bytes() int64 { return w.bytes }

func (w *Writer) record(kind byte, payload []byte) error {
	if len(payload) > MaxRecord {
		return fmt.Errorf("%w: a record of %d bytes; at most %d", store.ErrInvalid, len(payload), MaxRecord)
	}
	w.records++
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	if err := w.write(head); err != nil {
		return err
	}
	return w.write(payload)
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	n, err := w.out.Write(b)
	w.bytes += int64(n)
	return err
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
}
