package hostile

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maker draws messages.
type maker struct {
	r     *rand.Rand
	texts []string // besides what it makes up
}

// broken is put where the wire is to have bytes that are no UTF-8: no message of ours could be marshalled with them.
const broken = "BROKENUTF8"

// strange are texts that have been trouble for somebody.
var strange = []string{
	"", " ", "\x00", "a\nb", "../../etc/passwd", "%s%n%d", "*", "**", "a.*", "(a*)*b", "((((((((((a+)+)+)+)+)+)+)+)+)+)+$", "[", "\\", "{{.}}", "-1", "NaN", "1e999",
	"127.0.0.1:0", "[::1]:99999", "999999h", "-5s", "0s", "☃", "\u202eabc", "é", strings.Repeat("a", 300), strings.Repeat("x.", 5000), broken,
	"$(reboot)", "'; drop table services; --", "http://[::1", "0.0.0.0/0", "100%", "-0.00001%",
}

func (m *maker) text() string {
	switch m.r.IntN(10) {
	case 0:
		return strange[m.r.IntN(len(strange))]
	case 1:
		b := make([]rune, m.r.IntN(40))
		for i := range b {
			b[i] = rune(m.r.IntN(0xD7FF))
		}
		return string(b)
	case 2:
		return strings.Repeat(string(rune('a'+m.r.IntN(26))), m.r.IntN(70))
	default:
		return m.texts[m.r.IntN(len(m.texts))]
	}
}

// integer is mostly at an edge.
func (m *maker) integer() int64 {
	edges := []int64{0, 1, -1, 2, 100, 5000, 10000, 10001, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 31, 1 << 32, 315576000000, -315576000001}
	if m.r.IntN(4) == 0 {
		return m.r.Int64N(20_000) - 5000
	}
	return edges[m.r.IntN(len(edges))]
}

func (m *maker) float() float64 {
	edges := []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e18, 0.5}
	return edges[m.r.IntN(len(edges))]
}

func (m *maker) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(m.r.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(m.integer())))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(m.integer()))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(m.integer())
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(m.integer()))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(m.integer()))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(m.float()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(m.float())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(m.text()))
	default:
		return protoreflect.ValueOfString(m.text())
	}
}

// count is how many elements a list or map gets: few, or very many.
func (m *maker) count() int {
	if m.r.IntN(400) == 0 {
		return 5000
	}
	return m.r.IntN(4)
}

// fill sets fields of a message by chance.
func (m *maker) fill(msg protoreflect.Message, depth int) {
	fields := msg.Descriptor().Fields()
	for i := range fields.Len() {
		if m.r.IntN(3) > 0 {
			m.field(msg, fields.Get(i), depth)
		}
	}
}

// field sets one.
func (m *maker) field(msg protoreflect.Message, f protoreflect.FieldDescriptor, depth int) {
	switch {
	case depth > 8:
	case f.IsMap():
		for range m.count() {
			key := m.scalar(f.MapKey()).MapKey()
			if f.MapValue().Message() == nil {
				msg.Mutable(f).Map().Set(key, m.scalar(f.MapValue()))
			} else {
				m.fill(msg.Mutable(f).Map().Mutable(key).Message(), depth+1)
			}
		}
	case f.IsList():
		n := m.count()
		if f.Message() != nil {
			n = min(n, 200)
		}
		for range n {
			if list := msg.Mutable(f).List(); f.Message() != nil {
				m.fill(list.AppendMutable().Message(), depth+1)
			} else {
				list.Append(m.scalar(f))
			}
		}
	case f.Message() != nil:
		m.fill(msg.Mutable(f).Message(), depth+1)
	default:
		msg.Set(f, m.scalar(f))
	}
}

// mutate changes one field somewhere in a message: clears it, or sets it by chance.
func (m *maker) mutate(msg protoreflect.Message) {
	for depth := 0; ; depth++ {
		fields := msg.Descriptor().Fields()
		if fields.Len() == 0 {
			return
		}
		f := fields.Get(m.r.IntN(fields.Len()))
		inner := f.Message() != nil && !f.IsMap() && msg.Has(f)
		switch {
		case inner && !f.IsList() && m.r.IntN(4) > 0:
			msg = msg.Mutable(f).Message()
			continue
		case inner && f.IsList() && m.r.IntN(4) > 0:
			list := msg.Mutable(f).List()
			msg = list.Get(m.r.IntN(list.Len())).Message()
			continue
		case m.r.IntN(3) == 0:
			msg.Clear(f)
		default:
			m.field(msg, f, depth)
		}
		return
	}
}

// marshal puts a message on the wire, with what is broken broken.
func marshal(msg proto.Message) []byte {
	b, err := proto.Marshal(msg)
	if err != nil {
		panic(err) // every text is UTF-8
	}
	return bytes.ReplaceAll(b, []byte(broken), bytes.Repeat([]byte{0xff}, len(broken)))
}

// spoil damages the bytes of a message.
func (m *maker) spoil(b []byte) []byte {
	b = bytes.Clone(b)
	at := m.r.IntN(len(b) + 1)
	switch m.r.IntN(8) {
	case 0:
		return b[:at]
	case 1:
		for range 1 + m.r.IntN(4) {
			if len(b) > 0 {
				b[m.r.IntN(len(b))] ^= 1 << m.r.IntN(8)
			}
		}
		return b
	case 2: // a part of it once more
		return append(b, b[at:]...)
	case 3: // noise in it
		noise := make([]byte, m.r.IntN(64))
		for i := range noise {
			noise[i] = byte(m.r.Uint32())
		}
		return append(append(bytes.Clone(b[:at]), noise...), b[at:]...)
	case 4: // groups in groups
		return append(b, bytes.Repeat(protowire.AppendTag(nil, 1000, protowire.StartGroupType), 1+m.r.IntN(20_000))...)
	case 5: // messages in messages
		inner := b
		for range m.r.IntN(200) {
			inner = protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(1+m.r.IntN(4)), protowire.BytesType), inner)
		}
		return inner
	case 6: // a length that is not there
		return protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.BytesType), 1<<m.r.IntN(63))
	default: // numbers that nobody knows
		for range 1 + m.r.IntN(1000) {
			b = protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(1000+m.r.IntN(100_000)), protowire.VarintType), m.r.Uint64())
		}
		return b
	}
}
