package truth

import (
	"bytes"
	"compress/gzip"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// write sends an answer of the world.
func write(w http.ResponseWriter, r *http.Request, q shadowtest.Request, a shadowtest.Reply) {
	if a.Failure != "" {
		reset(w)
	}
	h := w.Header()
	for name, values := range a.Headers {
		h[name] = values
	}
	body := a.Body
	if compressed(r, q) && hasBody(a.Status) {
		h.Set("Content-Encoding", "gzip")
		body = pack(body)
	}
	w.WriteHeader(a.Status)
	if hasBody(a.Status) {
		_, _ = w.Write(body) // who does not listen any more has gone
	}
	for name, values := range a.Trailers {
		h[http.TrailerPrefix+name] = values
	}
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// reset ends the exchange without an answer: the connection of HTTP/1.1, the stream of HTTP/2.
func reset(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// compressed says that the answer is: for a quarter of the requests, by both origins and always for the same ones.
func compressed(r *http.Request, q shadowtest.Request) bool {
	return q.ID%4 == 0 && !GRPC.has(q.Path) && strings.Contains(r.Header.Get("accept-encoding"), "gzip")
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// reflectionPrefix begins the paths of gRPC server reflection.
const reflectionPrefix = "/grpc.reflection."

// services are those that reflection names.
type services struct{}

// GetServiceInfo makes it what reflection wants.
func (services) GetServiceInfo() map[string]grpc.ServiceInfo {
	name, _, _ := strings.Cut(strings.TrimPrefix(shadowtest.GRPCPath, "/"), "/")
	return map[string]grpc.ServiceInfo{name: {}}
}

// newReflection answers which messages the method has.
func newReflection() *grpc.Server {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(shadowtest.Descriptors(), &set); err != nil {
		panic(err) // it is a constant
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		panic(err) // it is a constant
	}
	s := grpc.NewServer()
	grpc_reflection_v1.RegisterServerReflectionServer(s, reflection.NewServerV1(reflection.ServerOptions{Services: services{}, DescriptorResolver: files}))
	return s
}
