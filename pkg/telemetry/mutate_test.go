package telemetry

import (
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// mutator damages messages in ways that often leave valid protobuf: fields are repeated, dropped and swapped at any depth.
type mutator struct{ *rand.Rand }

func newMutator(t testing.TB) mutator {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return mutator{rand.New(rand.NewPCG(seed, 2))}
}

// mutate returns a changed copy of a message.
func (m mutator) mutate(b []byte) []byte {
	if m.IntN(4) == 0 && len(b) > 0 {
		b = slices.Clone(b)
		b[m.IntN(len(b))] ^= 1 << m.IntN(8)
		return b
	}
	fields := split(b)
	if len(fields) == 0 {
		return b
	}
	i, j := m.IntN(len(fields)), m.IntN(len(fields))
	switch f := fields[i]; m.IntN(5) {
	case 0:
		fields = slices.Insert(fields, j, f)
	case 1:
		fields = slices.Delete(fields, i, i+1)
	case 2:
		fields[i], fields[j] = fields[j], f
	default:
		if num, typ, n := protowire.ConsumeTag(f); typ == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(f[n:])
			if m.IntN(20) == 0 {
				num = protowire.Number(1 + m.IntN(12))
			}
			fields[i] = protowire.AppendBytes(protowire.AppendTag(nil, num, typ), m.mutate(inner))
		}
	}
	return slices.Concat(fields...)
}

// split cuts a message into its fields; nil if it is none.
func split(b []byte) [][]byte {
	var out [][]byte
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil
		}
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

// What the generated decoder takes and makes sense, ours takes, and reads the same; it never panics.
func TestDecodeLikeGenerated(t *testing.T) {
	m := newMutator(t)
	seeds := messages(t)
	full := seeds["full"]
	var f flush
	index := known()
	valid := 0
	for i := range 30_000 {
		raw := full
		for range 1 + m.IntN(8) {
			raw = m.mutate(raw)
		}
		f.reset(index)
		err := f.decode(raw)
		want, ok := decodeReference(raw)
		if !ok {
			continue
		}
		valid++
		if err != nil {
			t.Fatalf("mutation %d: refused: %v\n%x", i, err, raw)
		}
		if !f.readable().equal(want) {
			t.Fatalf("mutation %d: %+v, want %+v\n%x", i, f.readable(), want, raw)
		}
	}
	if valid < 5_000 {
		t.Errorf("only %d mutations were valid: they show little", valid)
	}
}
