package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Record is one record of a backup: an entry of the rollback journal, or what a store holds.
type Record struct {
	Journal []byte
	Item    store.Item // zero for an entry of the journal
}

// Reader reads a backup. What it returned is good only once [Reader.Next] has returned io.EOF: the sum is at the end.
type Reader struct {
	Header Header

	in      *bufio.Reader
	sum     hash.Hash
	records uint64
	stage   int // of the type of the last record
	done    bool
}

// NewReader reads the beginning. Errors: store.ErrCorrupt, store.ErrNewerVersion, and those of in.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), sum: sha256.New()}
	b, err := r.read(len(magic) + 4)
	switch {
	case isCut(err), err == nil && string(b[:len(magic)]) != magic:
		return nil, damaged("it does not begin as one")
	case err != nil:
		return nil, err
	}
	if v := binary.BigEndian.Uint32(b[len(magic):]); v > version {
		return nil, fmt.Errorf("%w: the backup has version %d, this program reads up to %d", store.ErrNewerVersion, v, version)
	} else if v < 1 {
		return nil, damaged("there is no version %d", v)
	}
	kind, payload, err := r.record()
	if err != nil {
		return nil, err
	}
	if kind != typeHeader || len(payload) < 8 {
		return nil, damaged("it has no header")
	}
	r.Header = Header{Made: timeOf(payload), Version: string(payload[8:])}
	return r, nil
}

// Next returns the next record, or io.EOF where the backup ended and was whole. Other errors: store.ErrCorrupt, and those of the input.
func (r *Reader) Next() (Record, error) {
	if r.done {
		return Record{}, io.EOF
	}
	kind, payload, err := r.record()
	if err != nil {
		return Record{}, err
	}
	if err := r.inOrder(kind); err != nil {
		return Record{}, err
	}
	if kind == typeEnd {
		return Record{}, r.end(payload)
	}
	out, err := parse(kind, payload)
	if err != nil {
		return Record{}, damaged("record %d cannot be read: %v", r.records, err)
	}
	return out, nil
}

// stages are the types in the order in which they come.
var stages = []byte{typeHeader, typeJournal, typeHead, typeRevision, typeLive, typeUsed, typeEnd}

func (r *Reader) inOrder(kind byte) error {
	at := bytes.IndexByte(stages, kind)
	if at < 1 || at < r.stage || at == r.stage && kind == typeHead || at > 2 && r.stage < 2 {
		return damaged("record %d is out of order", r.records)
	}
	r.stage = at
	return nil
}

// end checks the sum, and that nothing follows it.
func (r *Reader) end(payload []byte) error {
	if len(payload) != 8 || binary.BigEndian.Uint64(payload) != r.records-1 {
		return damaged("the number of records is wrong")
	}
	want := r.sum.Sum(nil)
	have := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r.in, have); err != nil && !isCut(err) {
		return err
	} else if err != nil || !bytes.Equal(have, want) {
		return damaged("its checksum is wrong")
	}
	if _, err := r.in.ReadByte(); err == nil {
		return damaged("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	r.done = true
	return io.EOF
}

// record reads a record of any type.
func (r *Reader) record() (kind byte, payload []byte, err error) {
	head, err := r.read(5)
	if err == nil {
		kind = head[0]
		size := binary.BigEndian.Uint32(head[1:])
		if size > MaxRecord || bytes.IndexByte(stages, kind) < 0 {
			return 0, nil, damaged("record %d cannot be read", r.records+1)
		}
		payload, err = r.read(int(size))
	}
	if isCut(err) {
		return 0, nil, damaged("it was cut off in record %d", r.records+1)
	}
	r.records++
	return kind, payload, err
}

// read takes n bytes. What it holds grows with what is there, whatever n says.
func (r *Reader) read(n int) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(min(n, 1<<20))
	if _, err := io.CopyN(&b, r.in, int64(n)); err != nil {
		return nil, err
	}
	r.sum.Write(b.Bytes())
	return b.Bytes(), nil
}

func isCut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

var errShort = errors.New("it is too short")

// parse reads the payload of a record.
func parse(kind byte, p []byte) (Record, error) {
	be := binary.BigEndian
	switch kind {
	case typeJournal:
		if len(p) == 0 {
			return Record{}, errShort
		}
		return Record{Journal: p}, nil
	case typeHead:
		if len(p) != 16 {
			return Record{}, errShort
		}
		return Record{Item: store.Item{Head: &store.Head{Revision: int64(be.Uint64(p)), Revisions: int(be.Uint64(p[8:]))}}}, nil
	case typeRevision:
		rev := &crossfadev1.Revision{}
		if err := proto.Unmarshal(p, rev); err != nil {
			return Record{}, err
		}
		return Record{Item: store.Item{Revision: rev}}, nil
	case typeLive:
		return parseLive(p)
	}
	return parseUsed(p)
}

func parseLive(p []byte) (Record, error) {
	if len(p) < 8 {
		return Record{}, errShort
	}
	kind, name, ok := bytes.Cut(p[8:], []byte{0})
	if !ok {
		return Record{}, errShort
	}
	key := store.ObjectKey{Kind: string(kind), Name: string(name)}
	return Record{Item: store.Item{Live: &store.Live{Key: key, Revision: int64(binary.BigEndian.Uint64(p))}}}, nil
}

func parseUsed(p []byte) (Record, error) {
	be := binary.BigEndian
	const fixed = 28 // time, first, count, length of the digest
	if len(p) < fixed || uint64(len(p)) < fixed+uint64(be.Uint32(p[24:])) {
		return Record{}, errShort
	}
	digest, key := p[fixed:fixed+be.Uint32(p[24:])], p[fixed+be.Uint32(p[24:]):]
	return Record{Item: store.Item{Used: &store.Used{
		Key: string(key), Time: timeOf(p), First: int64(be.Uint64(p[8:])), Count: int64(be.Uint64(p[16:])), Digest: digest,
	}}}, nil
}

func timeOf(p []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(p))).UTC() }

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: the file is damaged, cut off, or no backup of Crossfade: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}
