// Package tree compares documents by structure: JSON and protobuf, whole or cut off at the end, without building them in memory.
//
// A document is read into a tape of nodes that point into its bytes ([Doc]), and two tapes are walked side by side ([Differ]). Both are
// used again and again, so that in the steady state a comparison allocates next to nothing. What input may cost is bounded: nodes, depth,
// and steps of a comparison; beyond a bound a document counts as cut off there. Nothing here panics or recurses deeper than [MaxDepth].
package tree

// Bounds of a document and a comparison.
const (
	MaxDepth = 10_000  // of nested objects and arrays; deeper ones are not read
	MaxNodes = 1 << 19 // what comes after counts as cut off: 18 MB of tape
	MaxBytes = 1 << 30 // of a document; longer ones are not read
	maxPath  = 256     // bytes of a path; longer ones end with …
)

// kind is the type of a node.
type kind uint8

const (
	null kind = iota
	boolFalse
	boolTrue
	number
	odd // NaN, Infinity and -Infinity, which JSON does not have and some services send
	text
	array
	object
)

// node is a value. Its bytes are start to end of the document, or of its arena.
type node struct {
	start, end       uint32 // of a string, without the quotes
	keyStart, keyEnd uint32 // of a member of an object, the same
	next             uint32 // the node after it and all below it
	size             uint32 // members or elements
	kind             kind
	flags            flags
}

type flags uint8

const (
	escaped    flags = 1 << iota // a string with escapes
	inArena                      // its bytes are in the arena
	keyInArena                   // its key is in the arena
	open                         // an object or array whose end was cut off
	cut                          // a string or number whose end was cut off
	binary                       // bytes of protobuf, not text
	mapped                       // an object whose keys are values: a map of protobuf
)

// Doc is a document that was read. It holds on to the bytes that it was read from, until it reads others. The zero value is ready for use.
type Doc struct {
	src    []byte
	arena  []byte // decoded keys, and values of protobuf as text
	nodes  []node
	hashes []uint64 // by node, 0 if not known; for arrays whose order does not count
	stack  []uint32
	fields []field // scratch of protobuf
	// Partial says that there was more than MaxNodes: what came after counts as cut off.
	Partial bool
}

func (d *Doc) reset(src []byte) {
	d.src, d.arena, d.nodes, d.hashes, d.stack, d.fields = src, d.arena[:0], d.nodes[:0], d.hashes[:0], d.stack[:0], d.fields[:0]
	d.Partial = false
}

// Release lets go of the bytes that were read, and of memory that an unusually large document needed.
func (d *Doc) Release() {
	d.src = nil
	if cap(d.nodes) > 1<<16 || cap(d.arena) > 1<<20 {
		*d = Doc{}
	}
}

// value returns the bytes of a node.
func (d *Doc) value(n *node) []byte {
	if n.flags&inArena != 0 {
		return d.arena[n.start:n.end]
	}
	return d.src[n.start:n.end]
}

// key returns the key of a node, decoded.
func (d *Doc) key(n *node) []byte {
	if n.flags&keyInArena != 0 {
		return d.arena[n.keyStart:n.keyEnd]
	}
	return d.src[n.keyStart:n.keyEnd]
}
