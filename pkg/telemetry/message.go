package telemetry

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/emptypb"
)

// pool is what messages of several frames are put together in.
var pool mem.BufferPool = &buffers{}

// buffers are a pool by powers of two from 64 KiB. They are not cleared, since all of each is written: gRPC's own pool gives a flush of 47 kB a megabyte of
// zeros.
type buffers [9]sync.Pool // the last ones are of [MaxMessage]

const leastBuffer = 16 // bits

// Get implements mem.BufferPool.
func (p *buffers) Get(n int) *[]byte {
	i := max(0, bits.Len(uint(n-1))-leastBuffer)
	if mem.IsBelowBufferPoolingThreshold(n) || i >= len(p) { // those do not come back
		b := make([]byte, n)
		return &b
	}
	if b, ok := p[i].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<(leastBuffer+i))
	return &b
}

// Put implements mem.BufferPool.
func (p *buffers) Put(b *[]byte) {
	if i := bits.Len(uint(cap(*b))) - 1 - leastBuffer; i >= 0 && i < len(p) && cap(*b) == 1<<(leastBuffer+i) {
		p[i].Put(b)
	}
}

// message is one as it came: the generated types need not be built. To protobuf it is empty and has unknown fields, so a server takes it whose codec
// is not that of xds.GRPCOptions; that copies the bytes once more. Whoever gives it away frees it: an interceptor must not return before its handler.
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
