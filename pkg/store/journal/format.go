package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

const (
	fileMagic  = "crossfade-journal"
	version    = 1
	entryMagic = 0x43466a31
	headerSize = 32 // magic uint32, length uint32, number uint64, checksum 16 bytes
	sumSize    = 16
)

var order = binary.BigEndian

// sectorsFor is how many sectors an entry needs.
func sectorsFor(n int) int { return (headerSize + n + sectorSize - 1) / sectorSize }

// sumOf covers the header of an entry, its place and its data.
func sumOf(header []byte, first int, data []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(header[:headerSize-sumSize])
	h.Write(order.AppendUint64(nil, uint64(first)))
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// encode returns the sectors of an entry.
func encode(id ID, first int, data []byte) []byte {
	b := make([]byte, sectorsFor(len(data))*sectorSize)
	order.PutUint32(b, entryMagic)
	order.PutUint32(b[4:], uint32(len(data)))
	order.PutUint64(b[8:], uint64(id))
	sum := sumOf(b, first, data)
	copy(b[headerSize-sumSize:], sum[:sumSize])
	copy(b[headerSize:], data)
	return b
}

// decode reads the entry that begins at a sector of a file, ok false if there is no whole one.
func decode(file []byte, first int) (id ID, s slot, ok bool) {
	b := file[first*sectorSize:]
	n := int(order.Uint32(b[4:]))
	if order.Uint32(b) != entryMagic || n == 0 || n > MaxEntry || headerSize+n > len(b) {
		return 0, slot{}, false
	}
	data := b[headerSize : headerSize+n]
	sum := sumOf(b, first, data)
	if !bytes.Equal(b[headerSize-sumSize:headerSize], sum[:sumSize]) {
		return 0, slot{}, false
	}
	return ID(order.Uint64(b[8:])), slot{first: first, count: sectorsFor(n), data: bytes.Clone(data)}, true
}

// resembles says whether a sector begins like an entry although there is no whole one, or like one of which only the beginning differs.
func resembles(file []byte, first int) bool {
	b := file[first*sectorSize:]
	if order.Uint32(b) == entryMagic {
		return true
	}
	n := int(order.Uint32(b[4:]))
	if n == 0 || n > MaxEntry || headerSize+n > len(b) {
		return false
	}
	header := order.AppendUint32(nil, entryMagic)
	header = append(header, b[4:headerSize]...)
	sum := sumOf(header, first, b[headerSize:headerSize+n])
	return bytes.Equal(b[headerSize-sumSize:headerSize], sum[:sumSize])
}

// newFile is an empty journal.
func newFile() []byte {
	b := make([]byte, fileSize)
	copy(b, fileMagic)
	order.PutUint32(b[len(fileMagic):], version)
	sum := sha256.Sum256(b[:sectorSize-sumSize])
	copy(b[sectorSize-sumSize:], sum[:sumSize])
	return b
}

// checkFile says whether b is a journal of this version. Entries are not looked at.
func checkFile(b []byte) error {
	if len(b) != fileSize {
		return fmt.Errorf("%w: the rollback journal has %d bytes, not %d", store.ErrCorrupt, len(b), fileSize)
	}
	if !bytes.HasPrefix(b, []byte(fileMagic)) {
		return fmt.Errorf("%w: the file is not a rollback journal", store.ErrCorrupt)
	}
	sum := sha256.Sum256(b[:sectorSize-sumSize])
	if !bytes.Equal(b[sectorSize-sumSize:sectorSize], sum[:sumSize]) {
		return fmt.Errorf("%w: the first sector of the rollback journal is damaged", store.ErrCorrupt)
	}
	if v := order.Uint32(b[len(fileMagic):]); v > version {
		return fmt.Errorf("%w: the rollback journal has version %d, this program reads up to %d", store.ErrNewerVersion, v, version)
	} else if v < version {
		return fmt.Errorf("%w: there is no version %d of a rollback journal", store.ErrCorrupt, v)
	}
	return nil
}

// scan finds the entries of a journal.
func (j *Journal) scan(file []byte) error {
	for first := firstSlot; first < sectors; {
		id, s, ok := decode(file, first)
		if !ok {
			if resembles(file, first) {
				j.damaged++
			}
			first++
			continue
		}
		if _, twice := j.live[id]; twice {
			return errors.Join(store.ErrCorrupt, fmt.Errorf("entry %d is in the rollback journal twice", id))
		}
		j.live[id] = s
		j.next = max(j.next, id)
		for i := range s.count {
			j.used[first+i] = true
		}
		first += s.count
	}
	return nil
}
