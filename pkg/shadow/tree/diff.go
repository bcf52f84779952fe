package tree

import (
	"bytes"
	"hash/maphash"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/name"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// Kind is how two documents differ at one place.
type Kind uint8

// The kinds of differences. The first document is the control's, the second the candidate's.
const (
	Missing Kind = iota // a member is in the first only
	Added               // a member is in the second only
	Type                // the values are of two types
	Value               // the strings or booleans are not the same
	Number              // the numbers are not the same, or differ by more than what is tolerated
	Length              // the arrays have not the same number of elements
	Order               // the arrays have the same elements in another order
	Limit               // the comparison was given up here: it needed too many steps
)

// Item is a value as it is in a document.
type Item struct {
	// Type is null, bool, number, string, bytes, array, object, or absent.
	Type string
	// Length is the number of bytes, members or elements.
	Length int
	// Bytes of the value; nil for what is absent, an array or an object. They are somebody's: they must not be kept.
	Bytes []byte
}

// Found is one difference. Path and the bytes of the values are only good until the function that gets it returns.
type Found struct {
	Kind    Kind
	Path    []byte
	Control Item
	Other   Item
	// Must says that a rule demands equality here.
	Must bool
}

// Differ compares documents. It is not safe for concurrent use; the zero value is not ready, see [NewDiffer].
type Differ struct {
	a, b  *Doc
	view  *rule.View
	found func(Found)
	path  []byte
	full  bool // the path has no room for more
	limit int  // where it was full
	// scratch of nested loops, used like a stack
	order []uint32
	bytes []byte
	other []byte
	seed  maphash.Seed
	steps int
	spare int  // bytes that sameBytes may still look at
	ended bool // the comparison was given up, and that was said
}

// NewDiffer returns a Differ that hands what it finds to a function.
func NewDiffer(found func(Found)) *Differ {
	return &Differ{found: found, seed: maphash.MakeSeed()}
}

// Diff compares two documents under rules, which may be nil. Of documents that were cut off only what is in both is compared.
func (f *Differ) Diff(a, b *Doc, view *rule.View) {
	f.a, f.b, f.view = a, b, view
	f.path, f.full = append(f.path[:0], '$'), false
	f.steps, f.ended = 64*(len(a.nodes)+len(b.nodes))+1024, false
	f.spare = 16 * (len(a.src) + len(b.src))
	a.hashes, b.hashes = a.hashes[:0], b.hashes[:0]
	if len(a.nodes) > 0 && len(b.nodes) > 0 {
		state, r := view.Start()
		f.nodes(0, 0, &state, r)
	}
	f.a, f.b, f.view = nil, nil, nil
}

// nodes compares a node of each document.
func (f *Differ) nodes(i, j uint32, s *rule.State, r *rule.Compiled) {
	if f.steps--; f.steps <= 0 {
		f.giveUp()
		return
	}
	if f.view.Prunes(s, r) {
		return
	}
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	switch {
	case (x.flags|y.flags)&cut != 0:
		f.cutLeaves(x, y, r)
	case class(x.kind) != class(y.kind):
		f.emit(Type, i, j, r)
	case x.kind == object:
		f.objects(i, j, s, r)
	case x.kind == array:
		f.arrays(i, j, s, r)
	case x.kind == text:
		if !f.sameText(x, y) && !r.Tolerates(f.a.value(x), f.b.value(y), false) {
			f.emit(Value, i, j, r)
		}
	case x.kind == number:
		a, b := f.a.value(x), f.b.value(y)
		if !sameNumber(a, b) && !r.Tolerates(a, b, true) {
			f.emit(Number, i, j, r)
		}
	case x.kind == odd:
		if !bytes.Equal(f.a.value(x), f.b.value(y)) {
			f.emit(Value, i, j, r)
		}
	case x.kind != y.kind:
		f.emit(Value, i, j, r)
	}
}

// class puts both booleans into one class.
func class(k kind) kind {
	if k == boolTrue {
		return boolFalse
	}
	return k
}

// cutLeaves compares two values of which at least one was cut off: strings as far as they go, numbers not at all.
func (f *Differ) cutLeaves(x, y *node, r *rule.Compiled) {
	if x.kind != y.kind || x.kind != text || (x.flags|y.flags)&escaped != 0 {
		return
	}
	a, b := f.a.value(x), f.b.value(y)
	n := min(len(a), len(b))
	bothWhole := x.flags&cut == 0 && len(a) < len(b) || y.flags&cut == 0 && len(b) < len(a)
	if (!bytes.Equal(a[:n], b[:n]) || bothWhole) && !r.Tolerates(a, b, false) {
		f.emitItems(Value, f.item(f.a, x), f.item(f.b, y), r)
	}
}

func (f *Differ) sameText(x, y *node) bool {
	if (x.flags|y.flags)&escaped == 0 {
		return bytes.Equal(f.a.value(x), f.b.value(y))
	}
	f.bytes, f.other = unescape(f.bytes[:0], f.a.value(x)), unescape(f.other[:0], f.b.value(y))
	return bytes.Equal(f.bytes, f.other)
}

// giveUp says once that there is more, which was not compared.
func (f *Differ) giveUp() {
	if !f.ended {
		f.ended = true
		f.emitItems(Limit, Item{}, Item{}, nil)
	}
}

func (f *Differ) emit(k Kind, i, j uint32, r *rule.Compiled) {
	f.emitItems(k, f.item(f.a, &f.a.nodes[i]), f.item(f.b, &f.b.nodes[j]), r)
}

func (f *Differ) emitItems(k Kind, a, b Item, r *rule.Compiled) {
	if r != nil && r.Action == rule.Ignore {
		return
	}
	f.found(Found{Kind: k, Path: f.path, Control: a, Other: b, Must: r != nil && r.Action == rule.MustEqual})
}

// absent stands for a member that is not there.
var absent = Item{Type: "absent"}

func (f *Differ) item(d *Doc, n *node) Item {
	switch n.kind {
	case object, array:
		return Item{Type: typeOf(n), Length: int(n.size)}
	default:
		v := d.value(n)
		return Item{Type: typeOf(n), Length: len(v), Bytes: v}
	}
}

func typeOf(n *node) string {
	switch n.kind {
	case null:
		return "null"
	case boolFalse, boolTrue:
		return "bool"
	case number:
		return "number"
	case odd:
		return "nan"
	case array:
		return "array"
	case object:
		return "object"
	}
	if n.flags&binary != 0 {
		return "bytes"
	}
	return "string"
}

// enter adds a member to the path, and returns what leave needs to take it off again.
func (f *Differ) enter(key []byte, hide bool) int {
	mark := len(f.path)
	switch {
	case f.full || mark >= maxPath:
		f.more()
	case hide || !name.Like(key) && !unknownField(key):
		f.path = append(f.path, ".{key}"...)
	case bytes.ContainsAny(key, ".:@$"):
		f.path = append(append(append(f.path, "['"...), key...), "']"...)
	default:
		f.path = append(append(f.path, '.'), key...)
	}
	return mark
}

func (f *Differ) enterElement() int {
	mark := len(f.path)
	if f.full || mark >= maxPath {
		f.more()
	} else {
		f.path = append(f.path, "[*]"...)
	}
	return mark
}

func (f *Differ) more() {
	if !f.full {
		f.full, f.limit = true, len(f.path)
		f.path = append(f.path, "…"...)
	}
}

func (f *Differ) leave(mark int) {
	f.path, f.full = f.path[:mark], f.full && mark > f.limit
}

// unknownField says that a key is the number of a field of protobuf that has no name: #7.
func unknownField(key []byte) bool {
	if len(key) < 2 || len(key) > 10 || key[0] != '#' {
		return false
	}
	for _, c := range key[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
