package hostile

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// rawCodec sends bytes as they are, and lets answers be.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (rawCodec) Unmarshal(_ []byte, _ any) error {
	return nil
}

// attack sends messages to every method of the API, and remembers what was answered.
type attack struct {
	*world
	maker
	conn    *grpc.ClientConn
	methods []protoreflect.MethodDescriptor
	valid   map[protoreflect.FullName][]proto.Message // by type of request
	sent    int
	granted map[string]bool // marks of messages that were not refused
	codes   map[codes.Code]int
	seen    int64 // the last revision that was looked at
}

// Limits of a call: one without an answer may have been granted.
const (
	callTime   = 5 * time.Second
	streamTime = 30 * time.Millisecond
)

func newAttack(t *testing.T) *attack {
	a := &attack{
		world: newWorld(t, nil), conn: nil, valid: validRequests(t), granted: map[string]bool{}, codes: map[codes.Code]int{},
		maker: maker{r: seeded(t), texts: []string{
			"orders", "carts", "m1", "r1", "ecs", "eks", "default", "service", "fleet", "mirror", "rollout", "Service", "crossfade/v1", "approve", "abort", "beta",
			"orders.test", "/", "http1", "127.0.0.2:8080", "key-1", "compare", "p99", "errorRate", "10s", "1h",
		}},
	}
	a.conn = dial(t, a.Server.API)
	for _, file := range []protoreflect.FileDescriptor{
		crossfadev1.File_crossfade_v1_api_proto, crossfadev1.File_crossfade_v1_comparator_proto, crossfadev1.File_crossfade_v1_admin_proto,
		grpc_health_v1.File_grpc_health_v1_health_proto, grpc_reflection_v1.File_grpc_reflection_v1_reflection_proto,
	} {
		for i := range file.Services().Len() {
			for methods, j := file.Services().Get(i).Methods(), 0; j < methods.Len(); j++ {
				a.methods = append(a.methods, methods.Get(j))
			}
		}
	}
	return a
}

// message draws one: random, a valid one with changes, or bytes that are spoilt. It is marked where that is possible, so that it can be told
// which message made a revision.
func (a *attack) message(of protoreflect.MethodDescriptor) (wire []byte, mark string) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(of.Input().FullName())
	if err != nil {
		panic(err) // it is linked
	}
	msg := kind.New().Interface()
	if valid := a.valid[of.Input().FullName()]; len(valid) > 0 && a.r.IntN(3) > 0 {
		msg = proto.Clone(valid[a.r.IntN(len(valid))])
		for range a.r.IntN(4) {
			a.mutate(msg.ProtoReflect())
		}
	} else {
		a.fill(msg.ProtoReflect(), 0)
	}
	mark = markOf(a.sent)
	a.mark(msg, mark)
	wire = marshal(msg)
	if a.r.IntN(4) == 0 {
		wire = a.spoil(wire)
	}
	return wire, mark
}

// markOf is the reason that a message gives. It has a sum, for bytes are spoilt afterwards.
func markOf(n int) string {
	return fmt.Sprintf("message %d %08x", n, crc32.ChecksumIEEE(fmt.Append(nil, n)))
}

// isMark tells one from what was spoilt.
func isMark(reason string) bool {
	var n int
	_, err := fmt.Sscanf(reason, "message %d", &n)
	return err == nil && reason == markOf(n)
}

// mark writes the reason of a change, and mostly keeps it from waiting.
func (a *attack) mark(msg proto.Message, mark string) {
	if _, ok := msg.(interface {
		GetOptions() *crossfadev1.ChangeOptions
	}); !ok {
		return
	}
	m := msg.ProtoReflect()
	o := m.Mutable(m.Descriptor().Fields().ByName("options")).Message().Interface().(*crossfadev1.ChangeOptions)
	o.Reason = mark
	if a.r.IntN(20) > 0 {
		o.Wait = crossfadev1.Wait_WAIT_NONE
	}
}

// send sends one message to one method and checks the answer.
func (a *attack) send() {
	a.t.Helper()
	method := a.methods[a.r.IntN(len(a.methods))]
	wire, mark := a.message(method)
	a.sent++
	err := a.call(method, wire)
	code := status.Code(err)
	a.codes[code]++
	if err == nil || code == codes.DeadlineExceeded || code == codes.Canceled || stands(err) {
		a.granted[mark] = true
		return
	}
	if why := unclear(method, wire, err); why != "" {
		a.t.Errorf("message %d to %s, %d bytes: %s: %v", a.sent-1, method.FullName(), len(wire), why, err)
	}
}

func (a *attack) call(method protoreflect.MethodDescriptor, wire []byte) error {
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	if !method.IsStreamingServer() && !method.IsStreamingClient() {
		ctx, cancel := context.WithTimeout(a.t.Context(), callTime)
		defer cancel()
		return a.conn.Invoke(ctx, path, wire, &struct{}{}, grpc.ForceCodec(rawCodec{}))
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), streamTime)
	defer cancel()
	stream, err := a.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path, grpc.ForceCodec(rawCodec{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wire); err == nil && !method.IsStreamingClient() {
		_ = stream.CloseSend()
	}
	for range 3 {
		if err := stream.RecvMsg(&struct{}{}); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// stands says whether an error says that a change stands all the same.
func stands(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if _, ok := d.(*crossfadev1.Change); ok {
			return true
		}
	}
	return false
}

// unclear says what an error lacks: a code and a sentence, and for bytes that are no message the status InvalidArgument. A mistake of the
// server's own is never the answer.
func unclear(method protoreflect.MethodDescriptor, wire []byte, err error) string {
	s := status.Convert(err)
	if s.Message() == "" || s.Code() == codes.Unknown {
		return "no sentence, or no code"
	}
	kind, found := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if found != nil {
		return "its type is not linked"
	}
	malformed := proto.Unmarshal(wire, kind.New().Interface()) != nil
	ours := strings.HasPrefix(string(method.Input().FullName()), "crossfade.v1.")
	switch {
	case ours && method.IsStreamingClient(): // comparators are a part of the server: nobody reads their errors but its log
		return ""
	case malformed && s.Code() != codes.InvalidArgument:
		return "it was no message, and that is not what the answer says"
	case !malformed && !ours:
		return ""
	}
	for _, d := range s.Details() {
		switch d, ok := d.(*crossfadev1.ErrorDetail); {
		case !ok:
		case d.GetCode() == "internal":
			return "the server made a mistake"
		case d.GetCode() != "" && d.GetMessage() != "":
			return ""
		}
	}
	return "no code for machines, or no sentence for people"
}

// TestMessages sends random, mutated and truncated messages to every method, while others change things.
func TestMessages(t *testing.T) {
	together(t)
	a := newAttack(t)
	a.proxy("good", "default")
	stop := a.others("beside", 10001)
	start, _ := a.memory()
	for range either(5000, 100_000) {
		a.send()
		if a.sent%1000 == 0 {
			a.audit()
		}
		if t.Failed() {
			break
		}
	}
	a.audit()
	b := stop()
	now, peak := a.memory()
	t.Logf("%d messages to %d methods, answers by code: %v; %d revisions; memory %d MiB before, %d after, %d at most", a.sent, len(a.methods), a.codes, a.seen, start, now, peak)
	if peak > 600 {
		t.Errorf("the control plane took %d MiB", peak)
	}
	for _, code := range []codes.Code{codes.OK, codes.InvalidArgument, codes.NotFound} {
		if a.codes[code] < a.sent/200 {
			t.Errorf("only %d answers were %v: the messages do not reach what they should", a.codes[code], code)
		}
	}
	b.unaffected(t, 20, 2*time.Second)
	a.sameAfterRestart()
}
