package server

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// For the tests of this package.
var NewToken = newToken

// ReadToken reads a page token.
func ReadToken(token, list string) (string, error) {
	var p problems
	last := p.token(token, list)
	return last, p.Err()
}

// Who is who.
var Who = who

// Decode reads a message as calls do.
func (a *API) Decode(wire []byte, m proto.Message) error {
	if err := a.codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, m); err != nil {
		return err
	}
	return a.codec.check(m)
}

// Unread is how many messages are remembered that could not be read.
func (a *API) Unread() (n int) {
	a.codec.broken.Range(func(any, any) bool { n++; return true })
	return n
}
