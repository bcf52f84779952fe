package tree

import (
	"cmp"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxMessages is how deeply messages may be nested, as in C++ and Java.
const maxMessages = 100

// field is one field of a message as it is on the wire.
type field struct {
	number     protowire.Number
	wire       protowire.Type
	value      uint64 // of a varint, fixed32 or fixed64
	start, end uint32 // of bytes, in the source; of a group, without its end
}

// ReadProto reads messages of protobuf: fields by their names if there is a descriptor, and those that it does not know as "#7". What has
// length, and no descriptor, is a message if it reads as one, otherwise text or bytes. One message is the document; more are an array.
// Fields without presence that are zero count as absent, repeated ones as one array whether packed or not, and maps by key.
func (d *Doc) ReadProto(src []byte, messages [][2]int, desc protoreflect.MessageDescriptor, asArray bool) error {
	d.reset(src)
	if len(src) > MaxBytes {
		return ErrLarge
	}
	p := protoReader{d}
	root := -1
	if asArray {
		root = p.open(array, key{})
	}
	for _, m := range messages {
		if err := p.message(uint32(m[0]), uint32(m[1]), desc, key{}, 0); err != nil {
			d.nodes = d.nodes[:0]
			return err
		}
		if asArray {
			d.nodes[root].size++
		}
	}
	p.close(root)
	return nil
}

// protoReader builds the tape of a message.
type protoReader struct{ *Doc }

// key is the place of a name in the arena.
type key struct {
	start, end uint32
	set        flags // keyInArena if there is one
}

func (p *protoReader) open(k kind, at key) int {
	p.nodes = append(p.nodes, node{keyStart: at.start, keyEnd: at.end, kind: k, flags: at.set})
	return len(p.nodes) - 1
}

func (p *protoReader) close(n int) {
	if n >= 0 {
		p.nodes[n].next = uint32(len(p.nodes))
	}
}

// message reads a message into an object.
func (p *protoReader) message(start, end uint32, desc protoreflect.MessageDescriptor, at key, depth int) error {
	if depth > maxMessages {
		return ErrDeep
	}
	first := len(p.fields)
	defer func() { p.fields = p.fields[:first] }()
	if err := p.scan(start, end); err != nil {
		return err
	}
	slices.SortStableFunc(p.fields[first:], func(a, b field) int { return cmp.Compare(a.number, b.number) })
	n := p.open(object, at)
	last := len(p.fields)
	for from := first; from < last; {
		to := from + 1
		for to < last && p.fields[to].number == p.fields[from].number {
			to++
		}
		if err := p.group(n, from, to, desc, depth); err != nil {
			return err
		}
		from = to
	}
	p.close(n)
	return nil
}

// scan appends the fields between two places of the source.
func (p *protoReader) scan(start, end uint32) error {
	for at := start; at < end; {
		number, wire, n := protowire.ConsumeTag(p.src[at:end])
		if n < 0 || len(p.nodes)+len(p.fields) > MaxNodes {
			return ErrSyntax
		}
		at += uint32(n)
		f := field{number: number, wire: wire, start: at}
		rest := p.src[at:end]
		switch wire {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(rest)
			f.value = uint64(v)
		case protowire.Fixed64Type:
			f.value, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(rest)
			f.start, f.end = at+uint32(max(n, 0)-len(v)), at+uint32(max(n, 0))
		default:
			n = protowire.ConsumeFieldValue(number, wire, rest)
			f.end = at + uint32(max(n, 0))
			if n >= 0 {
				f.end -= uint32(protowire.SizeTag(number))
			}
		}
		if n < 0 {
			return ErrSyntax
		}
		at += uint32(n)
		p.fields = append(p.fields, f)
	}
	return nil
}

// group adds all fields of one number to an object.
func (p *protoReader) group(parent, from, to int, desc protoreflect.MessageDescriptor, depth int) error {
	var fd protoreflect.FieldDescriptor
	if desc != nil {
		fd = desc.Fields().ByNumber(p.fields[from].number)
	}
	if fd == nil || !fits(fd, p.fields[from:to]) {
		return p.unknown(parent, from, to, depth)
	}
	before := len(p.nodes)
	at := p.name(string(fd.Name()))
	var err error
	switch {
	case fd.IsMap():
		err = p.mapEntries(from, to, fd, at, depth)
	case fd.IsList():
		err = p.list(from, to, fd, at, depth)
	case !fd.HasPresence() && isZero(p.fields[to-1]):
		return nil
	default:
		err = p.single(p.fields[to-1], fd, at, depth)
	}
	if len(p.nodes) > before {
		p.nodes[parent].size++
	}
	return err
}

// name puts a name of a member into the arena.
func (p *protoReader) name(s string) key {
	start := len(p.arena)
	p.arena = append(p.arena, s...)
	return key{uint32(start), uint32(len(p.arena)), keyInArena}
}

// isZero says that a field has the value that it has when it is absent.
func isZero(f field) bool {
	return f.value == 0 && f.end <= f.start || f.wire != protowire.BytesType && f.value == 0
}

// unknown adds fields without a descriptor, by number.
func (p *protoReader) unknown(parent, from, to, depth int) error {
	p.arena = strconv.AppendInt(append(p.arena, '#'), int64(p.fields[from].number), 10)
	length := len(strconv.Itoa(int(p.fields[from].number))) + 1
	at := key{uint32(len(p.arena) - length), uint32(len(p.arena)), keyInArena}
	p.nodes[parent].size++
	if to-from == 1 {
		return p.guess(p.fields[from], at, depth)
	}
	n := p.open(array, at)
	for i := from; i < to; i++ {
		if err := p.guess(p.fields[i], key{}, depth); err != nil {
			return err
		}
		p.nodes[n].size++
	}
	p.close(n)
	return nil
}

// guess adds a value by its form on the wire.
func (p *protoReader) guess(f field, at key, depth int) error {
	switch f.wire {
	case protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type:
		p.scalar(number, at, strconv.AppendUint(p.arena, f.value, 10))
		return nil
	case protowire.StartGroupType:
		return p.message(f.start, f.end, nil, at, depth+1)
	}
	if f.end > f.start && !printable(p.src[f.start:f.end]) && depth < maxMessages {
		nodes, arena := len(p.nodes), len(p.arena)
		if p.message(f.start, f.end, nil, at, depth+1) == nil {
			return nil
		}
		p.nodes, p.arena = p.nodes[:nodes], p.arena[:arena]
	}
	p.bytes(f, at, utf8.Valid(p.src[f.start:f.end]))
	return nil
}

// printable says that bytes are text without control characters.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return utf8.Valid(b)
}

func (p *protoReader) bytes(f field, at key, isText bool) {
	n := node{start: f.start, end: f.end, keyStart: at.start, keyEnd: at.end, next: uint32(len(p.nodes) + 1), kind: text, flags: at.set}
	if !isText {
		n.flags |= binary
	}
	p.nodes = append(p.nodes, n)
}

// scalar adds a value whose text was appended to the arena.
func (p *protoReader) scalar(k kind, at key, arena []byte) {
	start := uint32(len(p.arena))
	p.arena = arena
	p.nodes = append(p.nodes, node{start: start, end: uint32(len(arena)), keyStart: at.start, keyEnd: at.end, next: uint32(len(p.nodes) + 1), kind: k, flags: inArena | at.set})
}
