package server

import (
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec reads messages as gRPC's own does, but leaves it to the interceptors to say that one cannot be read: gRPC would answer Internal, as if that were a
// mistake of the server, and of a stream nobody could change that afterwards.
type codec struct {
	encoding.CodecV2
	broken sync.Map // why a message could not be read, by its pointer, until check takes it
}

func newCodec() *codec { return &codec{CodecV2: encoding.GetCodecV2(protocodec.Name)} }

// Unmarshal implements encoding.CodecV2. It has no error for bytes that are no message: that one stays empty, and check knows it.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	m, ok := v.(proto.Message)
	if err == nil || !ok {
		return err
	}
	proto.Reset(m)
	c.broken.Store(m, err)
	return nil
}

// check returns a *policy.Error if a message that came in could not be read. Whoever receives one asks, once, before anything is made of it.
func (c *codec) check(message any) error {
	err, broken := c.broken.LoadAndDelete(message)
	if !broken {
		return nil
	}
	why := strings.TrimPrefix(strings.ReplaceAll(fmt.Sprint(err), "\u00a0", " "), "proto: ") // the library varies the blank
	return invalid("message_malformed", "", "", fmt.Sprintf("the request cannot be read as a %s: %s", proto.MessageName(message.(proto.Message)), why),
		"use a client that is generated from the protos of this version, or shadowctl")
}
