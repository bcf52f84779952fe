package bolt

import (
	"bytes"
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
	maxDepth    = 64
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

// walker goes once through every page that is in use.
type walker struct {
	f     io.ReaderAt
	meta  boltMeta
	seen  []bool
	visit func(path [][]byte, key, value []byte)
}

// walk checks the structure of a file and calls visit for every entry, in the order of their keys within each bucket. The slices are valid during
// the call. path is the buckets from the root on.
func walk(f io.ReaderAt, size int64, visit func(path [][]byte, key, value []byte)) error {
	m, err := readMeta(f, size)
	if err != nil {
		return err
	}
	w := &walker{f: f, meta: m, seen: make([]bool, m.pages), visit: visit}
	w.seen[0], w.seen[1] = true, true
	if err := w.freelist(); err != nil {
		return err
	}
	if err := w.tree(m.root, nil); err != nil {
		return err
	}
	for id, seen := range w.seen {
		if !seen {
			return corrupt("page %d is neither used nor free", id)
		}
	}
	return nil
}

// page reads a page and its overflow, and notes that they are used.
func (w *walker) page(id uint64) (page, error) {
	ps := uint64(w.meta.pageSize)
	if id < 2 || id >= w.meta.pages {
		return page{}, corrupt("a page refers to page %d, there are %d", id, w.meta.pages)
	}
	b := make([]byte, ps)
	if _, err := w.f.ReadAt(b, int64(id*ps)); err != nil {
		return page{}, corrupt("page %d cannot be read: %v", id, err)
	}
	p, _ := parsePage(b)
	if p.id != id || p.overflow >= w.meta.pages-id {
		return page{}, corrupt("page %d is damaged", id)
	}
	for i := id; i <= id+p.overflow; i++ {
		if w.seen[i] {
			return page{}, corrupt("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	if p.overflow > 0 {
		p.b = make([]byte, (p.overflow+1)*ps)
		if _, err := w.f.ReadAt(p.b, int64(id*ps)); err != nil {
			return page{}, corrupt("page %d cannot be read: %v", id, err)
		}
	}
	return p, nil
}

// freelist notes the free pages.
func (w *walker) freelist() error {
	p, err := w.page(w.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags != pageFreelist {
		return corrupt("page %d is not the list of free pages", p.id)
	}
	ids := p.b[pageHeaderSize:]
	count := uint64(p.count)
	if count == 0xFFFF { // the number itself comes first
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids))/8 {
		return corrupt("the list of free pages is damaged")
	}
	for i := range count {
		id := order.Uint64(ids[8*i:])
		if id < 2 || id >= w.meta.pages || w.seen[id] {
			return corrupt("the list of free pages has page %d", id)
		}
		w.seen[id] = true
	}
	return nil
}

// tree walks one bucket from its root page.
func (w *walker) tree(root uint64, path [][]byte) error {
	p, err := w.page(root)
	if err != nil {
		return err
	}
	t := &tree{walker: w, path: path}
	return t.descend(&p, nil, 0)
}

// tree is the walk through one bucket.
type tree struct {
	*walker
	path [][]byte
	last []byte // the last key that was met
	any  bool
}

// descend walks a page whose keys must be at least min, and above all keys that were met.
func (t *tree) descend(p *page, min []byte, depth int) error {
	if depth > maxDepth || p.flags != pageLeaf && (p.flags != pageBranch || p.count == 0) {
		return corrupt("page %d is damaged", p.id)
	}
	for i := range p.count {
		e, ok := p.element(i)
		if !ok || t.any && bytes.Compare(e.key, t.last) <= 0 || bytes.Compare(e.key, min) < 0 {
			return corrupt("element %d of page %d is damaged", i, p.id)
		}
		var err error
		if p.flags == pageBranch {
			err = t.child(e, depth)
		} else {
			t.last, t.any = e.key, true
			err = t.leaf(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) child(e element, depth int) error {
	p, err := t.page(e.child)
	if err != nil {
		return err
	}
	return t.descend(&p, e.key, depth+1)
}

func (t *tree) leaf(e element) error {
	if !e.bucket {
		t.visit(t.path, e.key, e.value)
		return nil
	}
	if len(e.value) < bucketSize || len(t.path) >= maxDepth {
		return corrupt("bucket %q is damaged", e.key)
	}
	path := append(t.path[:len(t.path):len(t.path)], e.key)
	if root := order.Uint64(e.value); root != 0 {
		return t.tree(root, path)
	}
	p, ok := parsePage(e.value[bucketSize:])
	if !ok || p.flags != pageLeaf {
		return corrupt("bucket %q is damaged", e.key)
	}
	inline := &tree{walker: t.walker, path: path}
	return inline.descend(&p, nil, 0)
}
