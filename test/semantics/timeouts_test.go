package semantics

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestTimeouts lets an origin take its time. By default nothing ends a slow answer: 16 s is more than the 15 s that Envoy itself would give.
// Each timeout of the schema ends it with its own error, also beside one that leaves more time. A deadline of gRPC, which services with an origin of HTTP/2
// have, is one of them.
func TestTimeouts(t *testing.T) {
	for _, version := range run.versions {
		t.Run("envoy-"+version, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			f := newWorld(t, version).fleet("default", 1, false)
			f.envoy.AwaitReady()
			slow, err := origin.Start(origin.Config{Name: "slow"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(slow.Close)
			second, minute := durationpb.New(time.Second), durationpb.New(time.Minute)
			limits := map[string]*crossfadev1.Timeouts{
				"none": nil, "request": {Request: second}, "idle": {Idle: second}, "stream": {MaxStreamDuration: second},
				"request-before-stream": {Request: second, MaxStreamDuration: minute}, "stream-before-request": {Request: minute, MaxStreamDuration: second},
				"request-before-idle": {Request: second, Idle: minute},
				"grpc":                {Request: minute}, "grpc-request": {Request: second}, "grpc-stream": {Request: minute, MaxStreamDuration: second},
			}
			var docs []*crossfadev1.Service
			for name, limit := range limits {
				ecs, eks := staticOrigin("ecs", slow.Addr()), staticOrigin("eks", slow.Addr())
				if strings.HasPrefix(name, "grpc") {
					ecs.Protocol = string(policy.HTTP2)
				}
				docs = append(docs, &crossfadev1.Service{
					ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: name, Hosts: []string{name + ".test"}, Primary: "ecs", Timeouts: limit,
					Listener: &crossfadev1.Listener{Port: int32(f.ports[0])}, Origins: []*crossfadev1.Origin{ecs, eks},
				})
			}
			settings, services := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name}, docs...)
			f.publish(settings, services)
			var asked sync.WaitGroup
			for _, want := range []struct {
				service, delay, deadline string
				status                   int
				code                     string
			}{
				{"request", "5s", "", http.StatusGatewayTimeout, "timeout"},
				{"idle", "5s", "", http.StatusGatewayTimeout, "idle"},
				{"stream", "5s", "", http.StatusGatewayTimeout, "max_duration"},
				{"request-before-stream", "5s", "", http.StatusGatewayTimeout, "timeout"},
				{"stream-before-request", "5s", "", http.StatusGatewayTimeout, "max_duration"},
				{"request-before-idle", "5s", "", http.StatusGatewayTimeout, "timeout"},
				{"grpc", "5s", "1S", http.StatusGatewayTimeout, "max_duration"},
				{"grpc", "2s", "", http.StatusOK, ""},
				{"grpc-request", "5s", "50S", http.StatusGatewayTimeout, "timeout"},
				{"grpc-stream", "5s", "50S", http.StatusGatewayTimeout, "max_duration"},
				{"none", "16s", "", http.StatusOK, ""},
			} {
				asked.Go(func() {
					c := newClient(f)
					c.patience = 30 * time.Second
					headers := []policy.Header{{Name: origin.AnswerHeader, Value: "delay=" + want.delay}}
					if want.deadline != "" {
						headers = append(headers, policy.Header{Name: "grpc-timeout", Value: want.deadline})
					}
					a, err := c.do(policy.Request{Port: f.ports[0], Host: want.service + ".test", Path: "/", ClientAddress: "127.0.0.1", Headers: headers})
					c.close()
					if err != nil || a.status != want.status || a.code != want.code {
						t.Errorf("%s, after %s, deadline %q: %s, %v; want %d %s", want.service, want.delay, want.deadline, a, err, want.status, want.code)
					}
				})
			}
			asked.Wait()
		})
	}
}
