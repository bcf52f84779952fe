package comparator

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcreflection "google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// grpcOrigin is a server of gRPC that says that a service is in a state.
func grpcOrigin(state healthv1.HealthCheckResponse_ServingStatus, reflect func(*grpc.Server)) http.Handler {
	s := grpc.NewServer()
	h := health.NewServer()
	h.SetServingStatus("orders", state)
	healthv1.RegisterHealthServer(s, h)
	if reflect != nil {
		reflect(s)
	}
	return s
}

func (w *world) call(service string) {
	w.t.Helper()
	message, err := proto.Marshal(&healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		w.t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	r := w.copyOf("POST", "/grpc.health.v1.Health/Check", string(frame))
	r.ContentLength = -1 // as Envoy hands HTTP/2 on without a length
	r.Header.Set("content-type", "application/grpc")
	r.Header.Set("te", "trailers")
	w.send(r)
}

func grpcDocument(reflect bool) *crossfadev1.Mirror {
	doc := document()
	doc.GrpcMethods = []string{"grpc.health.v1.Health/Check"}
	doc.Grpc = &crossfadev1.MirrorGrpc{Reflection: reflect}
	return doc
}

// TestCallsOfGRPC: messages are compared by field, with the names that control's reflection tells, in either version of it, or with numbers.
func TestCallsOfGRPC(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reflect func(*grpc.Server)
		path    string
		log     bool
	}{
		"reflection": {func(s *grpc.Server) { grpcreflection.RegisterV1(s) }, "$.status", false},
		"old reflection": {func(s *grpc.Server) {
			grpcreflection.Register(onlyV1Alpha{s, s})
		}, "$.status", false},
		"none": {nil, "$.#1", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, grpcOrigin(healthv1.HealthCheckResponse_SERVING, c.reflect), grpcOrigin(healthv1.HealthCheckResponse_NOT_SERVING, nil), Limits{Spread: time.Minute})
			w.run(grpcDocument(true), nil)
			w.call("orders")
			if r := w.awaitCounted(1); r.Dropped[dropLearning] != 1 {
				t.Fatalf("the call that asks for descriptors: %+v", r)
			}
			w.call("orders")
			w.call("unknown") // grpc-status 5 on both sides
			r := w.awaitCounted(3)
			if r.Compared != 2 || len(r.Differences) != 1 || r.Differences[0].Path != c.path || r.Differences[0].Endpoint != "/grpc.health.v1.Health/Check" {
				t.Errorf("%+v", r)
			}
			if c.log != strings.Contains(w.log.String(), "no descriptors") {
				t.Error(w.log.String())
			}
		})
	}
}

// onlyV1Alpha registers no other version of reflection.
type onlyV1Alpha struct {
	*grpc.Server
	r grpc.ServiceRegistrar
}

func (o onlyV1Alpha) RegisterService(d *grpc.ServiceDesc, impl any) {
	if strings.Contains(d.ServiceName, "v1alpha") {
		o.r.RegisterService(d, impl)
	}
}

// TestReflectionThatHangs is given up.
func TestReflectionThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, http.HandlerFunc(hangs), http.HandlerFunc(hangs), Limits{Timeout: 200 * time.Millisecond, Spread: time.Minute})
	w.run(grpcDocument(true), nil)
	w.call("a")
	w.awaitCounted(1)
	w.call("a")
	if r := w.awaitCounted(2); r.TargetFailed != 1 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(w.log.String(), "no descriptors") {
		t.Error(w.log.String())
	}
}
