package bolt

import (
	"encoding/binary"
	"hash/fnv"
	"io"
)

// The form of a bbolt file, version 2, on a 64-bit machine; numbers are in the byte order of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderSize = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementSize    = 16
	bucketSize     = 16 // root page uint64, sequence uint64; root 0: a page follows inline
	metaSize       = 64

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageMeta     = 0x04
	pageFreelist = 0x10

	elementBucket = 0x01

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

var order = binary.NativeEndian

// boltMeta is what a meta page says.
type boltMeta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // number of pages in use, the file may be longer
	txid     uint64
}

// parseMeta reads the meta of a page that begins at b[0].
func parseMeta(b []byte) (m boltMeta, ok bool) {
	if len(b) < pageHeaderSize+metaSize || order.Uint16(b[8:]) != pageMeta {
		return m, false
	}
	b = b[pageHeaderSize:]
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[56:]) != h.Sum64() {
		return m, false
	}
	return boltMeta{
		pageSize: order.Uint32(b[8:]), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}, true
}

// readMeta returns the meta that is in force. Both must be valid: see the package comment.
func readMeta(f io.ReaderAt, size int64) (boltMeta, error) {
	var b [pageHeaderSize + metaSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return boltMeta{}, corrupt("the file has %d bytes: it was cut off, or is not a Crossfade store", size)
	}
	if order.Uint32(b[pageHeaderSize:]) != boltMagic {
		return boltMeta{}, corrupt("the file is not a Crossfade store, or its first page is damaged")
	}
	m0, ok := parseMeta(b[:])
	if !ok || m0.pageSize < minPageSize || m0.pageSize > maxPageSize || m0.pageSize&(m0.pageSize-1) != 0 {
		return boltMeta{}, corrupt("page 0 is damaged")
	}
	if _, err := f.ReadAt(b[:], int64(m0.pageSize)); err != nil {
		return boltMeta{}, corrupt("page 1 cannot be read: %v", err)
	}
	m1, ok := parseMeta(b[:])
	if !ok || m1.pageSize != m0.pageSize {
		return boltMeta{}, corrupt("page 1 is damaged")
	}
	m := m0
	if m1.txid > m0.txid {
		m = m1
	}
	if m0.txid+m1.txid != 2*m.txid-1 { // they are written in turn
		return boltMeta{}, corrupt("page 0 or 1 is an old version of itself")
	}
	if m.pages < 4 || m.pages > uint64(size)/uint64(m.pageSize) {
		return boltMeta{}, corrupt("the file has %d bytes and should have %d pages of %d: it was cut off", size, m.pages, m.pageSize)
	}
	return m, nil
}

// page is a page with its overflow, or the inline page of a small bucket.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
	b        []byte
}

func parsePage(b []byte) (page, bool) {
	if len(b) < pageHeaderSize {
		return page{}, false
	}
	return page{
		id: order.Uint64(b), flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])),
		overflow: uint64(order.Uint32(b[12:])), b: b,
	}, true
}

// element is a part of a branch or leaf page.
type element struct {
	key    []byte
	value  []byte // leaf
	bucket bool   // leaf: the value is a bucket
	child  uint64 // branch
}

// element returns the i-th element, false where it reaches beyond the page.
func (p *page) element(i int) (e element, ok bool) {
	at := uint64(pageHeaderSize + i*elementSize)
	if at+elementSize > uint64(len(p.b)) {
		return e, false
	}
	h := p.b[at:]
	var pos, ksize, vsize uint64
	if p.flags == pageBranch {
		pos, ksize = uint64(order.Uint32(h)), uint64(order.Uint32(h[4:]))
		e.child = order.Uint64(h[8:])
	} else {
		pos, ksize, vsize = uint64(order.Uint32(h[4:])), uint64(order.Uint32(h[8:])), uint64(order.Uint32(h[12:]))
		flags := order.Uint32(h)
		if flags > elementBucket {
			return e, false
		}
		e.bucket = flags == elementBucket
	}
	body := uint64(pageHeaderSize + p.count*elementSize)
	if at+pos < body || at+pos+ksize+vsize > uint64(len(p.b)) {
		return e, false
	}
	e.key = p.b[at+pos : at+pos+ksize]
	e.value = p.b[at+pos+ksize : at+pos+ksize+vsize]
	return e, true
}
