package server_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// wire sends bytes as they are, and lets answers be.
type wire struct{}

func (wire) Name() string                    { return "proto" }
func (wire) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (wire) Unmarshal(_ []byte, _ any) error { return nil }

// TestBytesThatAreNoMessage are refused as a mistake of the caller, of calls and of streams, with the first message and with a later one.
func TestBytesThatAreNoMessage(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders")
	const (
		truncated = "\x0a\x7fx"
		badText   = "\x0a\x02\xff\xfe" // the first field of all of these is text, or a message
		listAll   = "\x3a\x00"         // list_services of reflection
	)
	for _, c := range []struct {
		name, method, kind string
		messages           []string
	}{
		{"a change, truncated", "/crossfade.v1.CrossfadeService/SetSplit", "crossfade.v1.SetSplitRequest", []string{truncated}},
		{"a change, with text that is none", "/crossfade.v1.CrossfadeService/SetSplit", "crossfade.v1.SetSplitRequest", []string{badText}},
		{"a message within a message", "/crossfade.v1.CrossfadeService/Apply", "crossfade.v1.ApplyRequest", []string{badText}},
		{"a watch, truncated", "/crossfade.v1.CrossfadeService/Watch", "crossfade.v1.WatchRequest", []string{truncated}},
		{"a watch, with text that is none", "/crossfade.v1.CrossfadeService/Watch", "crossfade.v1.WatchRequest", []string{badText}},
		{"health", "/grpc.health.v1.Health/Check", "grpc.health.v1.HealthCheckRequest", []string{badText}},
		{"a stream, later", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "grpc.reflection.v1.ServerReflectionRequest", []string{listAll, truncated}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, c.method, grpc.ForceCodec(wire{}))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range c.messages {
				if err := stream.SendMsg([]byte(m)); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			for range c.messages {
				err = stream.RecvMsg(&struct{}{})
			}
			problems, _ := details(t, err)
			if status.Code(err) != codes.InvalidArgument || len(problems) != 1 || problems[0].GetCode() != "message_malformed" || problems[0].GetNext() == "" {
				t.Fatalf("%v with %v, want InvalidArgument with message_malformed", err, problems)
			}
			if said := problems[0].GetMessage(); !strings.Contains(said, c.kind+": ") || strings.Contains(said, "proto:") || strings.Contains(said, "\u00a0") {
				t.Errorf("it says %q", said)
			}
		})
	}
	if n := f.api.Unread(); n != 0 {
		t.Errorf("%d messages that could not be read are remembered after their calls", n)
	}
	if got, err := f.GetServerInfo(t.Context(), &crossfadev1.GetServerInfoRequest{}); err != nil || got.GetRevision() != 1 {
		t.Errorf("after all of that: %v, %v; nothing should have changed", got, err)
	}
}

// TestWhatIsTooMuchIsNotDecoded: nobody has been asked for a role by then.
func TestWhatIsTooMuchIsNotDecoded(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	nested := func(field int, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(field), protowire.BytesType), inner)
	}
	many := func(field, n int) []byte { return bytes.Repeat(nested(field, nil), n) }
	origins := (&crossfadev1.Service{}).ProtoReflect().Descriptor().Fields().ByName("origins")
	withOrigins := func(n int) []byte { return nested(1, nested(1, many(int(origins.Number()), n))) }
	for name, sent := range map[string][]byte{
		"beyond the bound": many(1, 7<<20), "documents": many(1, 2<<20-10), "origins": withOrigins(2<<20 - 100), "then no message": append(many(1, 1<<20), 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			err := f.conn.Invoke(t.Context(), "/crossfade.v1.CrossfadeService/Apply", sent, &struct{}{}, grpc.ForceCodec(wire{}))
			problems, _ := details(t, err)
			if status.Code(err) != codes.ResourceExhausted || len(problems) != 1 || problems[0].GetCode() != "message_too_large" {
				t.Errorf("%v with %v", err, problems)
			}
			if n := testing.AllocsPerRun(1, func() { _ = f.api.Decode(sent, &crossfadev1.ApplyRequest{}) }); n > 10_000 {
				t.Errorf("%.0f allocations for a message that is refused", n)
			}
		})
	}
	for name, sent := range map[string][]byte{"documents": many(1, 200_000), "origins": withOrigins(199_000)} {
		m := &crossfadev1.ApplyRequest{}
		if err := f.api.Decode(sent, m); err != nil || proto.Size(m) != len(sent) {
			t.Errorf("as many %s as may be: %v", name, err)
		}
	}
}
