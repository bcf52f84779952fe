package telemetry

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/emptypb"
)

// pool is what messages of several frames are put together in.
var pool = mem.DefaultBufferPool()

// message is one as it came: the generated types need not be built. To protobuf it is empty and has unknown fields, so a server takes it whose codec
// is not that of xds.GRPCOptions; that copies the bytes once more.
type message struct {
	emptypb.Empty
	wire mem.BufferSlice
}

// TakeWire takes the bytes from the codec, in the memory that gRPC received them in.
func (m *message) TakeWire(data mem.BufferSlice) {
	data.Ref()
	m.wire = data
}

// size in bytes.
func (m *message) size() int { return m.wire.Len() + len(m.ProtoReflect().GetUnknown()) }

// whole returns the bytes in one piece. They are lent, until free.
func (m *message) whole() []byte {
	if m.wire == nil {
		return m.ProtoReflect().GetUnknown()
	}
	if len(m.wire) != 1 {
		b := m.wire.MaterializeToBuffer(pool)
		m.wire.Free()
		m.wire = mem.BufferSlice{b}
	}
	return m.wire[0].ReadOnlyData()
}

// free gives the memory back.
func (m *message) free() {
	m.wire.Free()
	m.wire = nil
}
