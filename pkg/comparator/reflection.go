package comparator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// reflection is whether control was asked for descriptors: once for each run, by the first call that is to be asked.
type reflection struct {
	mu          sync.Mutex
	begun, done bool
}

// knows says whether calls of gRPC can be compared already. If control is to be asked for descriptors it asks, and calls that come meanwhile
// are not asked: they would be compared without the names of fields.
func (k *comparator) knows(c *copied) bool {
	r := c.run
	if !r.policy.Reflection {
		return true
	}
	r.reflect.mu.Lock()
	begun, done := r.reflect.begun, r.reflect.done
	r.reflect.begun = true
	r.reflect.mu.Unlock()
	if begun {
		return done
	}
	d, err := k.reflected(c)
	switch {
	case errors.Is(err, errStranger):
		r.reflect.mu.Lock()
		r.reflect.begun = false // through another proxy, or later
		r.reflect.mu.Unlock()
		return false
	case err != nil:
		k.log.Warn("control gave no descriptors: fields of gRPC have numbers in place of names", slog.String("mirror", r.policy.Name), slog.Any("error", err))
	default:
		r.readers.learn(d)
	}
	r.reflect.mu.Lock()
	r.reflect.done = true
	r.reflect.mu.Unlock()
	return false
}

// The methods of reflection, newest first: the messages of both versions are the same.
var reflectionMethods = []string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

// reflected asks control for the descriptors of the methods that are copied, over one connection that has proven itself.
func (k *comparator) reflected(c *copied) (*shadow.Descriptors, error) {
	var used, connected atomic.Bool
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, net.ErrClosed
		}
		conn, err := k.transport.connect(ctx, c.at)
		connected.Store(err == nil)
		return conn, err
	}
	conn, err := grpc.NewClient("passthrough:///"+c.at.address, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(c.host))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if !isReflectedBy(k.asking, conn, c.at.proxy) {
		if connected.Load() {
			k.transport.strange(c.at)
		}
		return nil, errStranger
	}
	headers := metadata.Pairs(policy.HeaderTarget, c.run.targets[control], policy.HeaderShadow, c.run.policy.Name)
	if name, value := c.run.testIdentity(); name != "" {
		headers.Set(name, value)
	}
	ctx := metadata.NewOutgoingContext(k.asking, headers)
	for _, method := range reflectionMethods {
		c.run.asked[control].Add(1)
		var set *descriptorpb.FileDescriptorSet
		if set, err = ask(ctx, conn, method, c.run.policy.GRPCMethods); err == nil {
			return read(set)
		}
	}
	return nil, err
}

// isReflectedBy asks like [prove].
func isReflectedBy(ctx context.Context, conn *grpc.ClientConn, proxy string) bool {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	var header, trailer metadata.MD
	_ = conn.Invoke(metadata.AppendToOutgoingContext(ctx, policy.HeaderTarget, policy.NoShadowCluster), reflectionMethods[0], &reflectionv1.ServerReflectionRequest{},
		&reflectionv1.ServerReflectionResponse{}, grpc.CallAuthority("comparator"), grpc.Header(&header), grpc.Trailer(&trailer)) // fails, as it should
	own := metadata.Join(header, trailer)
	return slices.Equal(own.Get(policy.HeaderVia), []string{proxy}) && len(own.Get(failedHeader)) > 0
}

func read(set *descriptorpb.FileDescriptorSet) (*shadow.Descriptors, error) {
	raw, err := proto.Marshal(set)
	if err != nil {
		return nil, errFiles
	}
	d, wrong := shadow.ReadDescriptors(raw)
	if wrong != nil {
		return nil, wrong
	}
	return d, nil
}

var errFiles = errors.New("the answers of reflection are not descriptors")

// ask gathers the files of the services, with all that they import.
func ask(ctx context.Context, conn *grpc.ClientConn, method string, calls []string) (*descriptorpb.FileDescriptorSet, error) {
	ctx, cancel := context.WithTimeout(ctx, reflectionTime)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.MaxCallRecvMsgSize(shadow.MaxDescriptorBytes))
	if err != nil {
		return nil, failed(err)
	}
	f := files{stream: stream, have: map[string]bool{}}
	for _, call := range calls {
		service, _, _ := strings.Cut(strings.TrimPrefix(call, "/"), "/")
		if err := f.ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service}}); err != nil {
			return nil, err
		}
	}
	if err := f.imports(); err != nil {
		return nil, err
	}
	return &f.set, stream.CloseSend()
}

// files are the descriptors that were gathered.
type files struct {
	stream grpc.ClientStream
	set    descriptorpb.FileDescriptorSet
	have   map[string]bool // by name
	bytes  int
}

// ask asks once, and takes the files of the answer.
func (f *files) ask(q *reflectionv1.ServerReflectionRequest) error {
	if err := f.stream.SendMsg(q); err != nil {
		return failed(err)
	}
	var a reflectionv1.ServerReflectionResponse
	if err := f.stream.RecvMsg(&a); err != nil {
		return failed(err)
	}
	if e := a.GetErrorResponse(); e != nil {
		return fmt.Errorf("reflection is refused with code %d", e.GetErrorCode())
	}
	for _, raw := range a.GetFileDescriptorResponse().GetFileDescriptorProto() {
		d := &descriptorpb.FileDescriptorProto{}
		if proto.Unmarshal(raw, d) != nil {
			return errFiles
		}
		if f.bytes += len(raw); f.bytes > shadow.MaxDescriptorBytes || len(f.set.File) >= maxFiles {
			return errors.New("the descriptors are too long")
		}
		f.add(d)
	}
	return nil
}

func (f *files) add(d *descriptorpb.FileDescriptorProto) {
	if !f.have[d.GetName()] {
		f.have[d.GetName()] = true
		f.set.File = append(f.set.File, d)
	}
}

// imports asks for what the files import, and these in turn. Those that everybody has need not be asked for.
func (f *files) imports() error {
	for i := 0; i < len(f.set.File); i++ {
		for _, name := range f.set.File[i].GetDependency() {
			if f.have[name] {
				continue
			}
			if known, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil && strings.HasPrefix(name, "google/protobuf/") {
				f.add(protodesc.ToFileDescriptorProto(known))
				continue
			}
			if err := f.ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: name}}); err != nil {
				return err
			}
			f.have[name] = true // or a server that answers with other files would be asked forever
		}
	}
	return nil
}

// failed says how a stream ended, without what the other side wrote.
func failed(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("reflection ended early")
	}
	return fmt.Errorf("reflection failed: %s", status.Code(err))
}
