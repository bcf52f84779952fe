package bolt

import (
	"bytes"
	"io"
)

// maxDepth bounds the nesting of pages and of buckets.
const maxDepth = 64

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
