package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// versionBytes is how much of the SHA-256 makes a version: 96 bits, 24 characters.
const versionBytes = 12

// resource marshals m once.
func resource(name string, m proto.Message) Resource {
	body := packed(m)
	sum := sha256.Sum256(body.Value)
	return Resource{Name: name, Version: hex.EncodeToString(sum[:versionBytes]), Body: body}
}

// packed marshals m with fields and map keys in a fixed order. It fails only on text that is not UTF-8, which the API has refused before.
func packed(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(fmt.Sprintf("translate: %s: %v", m.ProtoReflect().Descriptor().FullName(), err))
	}
	return a
}

func u32(n int) *wrapperspb.UInt32Value { return wrapperspb.UInt32(uint32(n)) }

func yes() *wrapperspb.BoolValue { return wrapperspb.Bool(true) }

func no() *wrapperspb.BoolValue { return wrapperspb.Bool(false) }

func dur(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
