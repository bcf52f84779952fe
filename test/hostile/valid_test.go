package hostile

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// documents are what people write.
const documents = `
{apiVersion: crossfade/v1, kind: Service, name: orders, fleet: default, hosts: [orders.test, "*.orders.test"], pathPrefixes: ["/"],
 listener: {port: 10000}, primary: ecs, origins: [
  {name: ecs, protocol: http1, static: {endpoints: ["127.0.0.2:8080"]}}, {name: eks, protocol: http1, static: {endpoints: ["127.0.0.3:8080"]}}],
 split: {weights: {ecs: 9000, eks: 1000}, sticky: {cookie: {name: cf, ttl: 24h}}},
 pins: [{name: beta, origin: eks, enabled: true, header: {name: x-beta, exact: "1"}}]}
---
{apiVersion: crossfade/v1, kind: Service, name: carts, hosts: [carts.test], listener: {port: 10000}, primary: ecs, origins: [
  {name: ecs, protocol: http1, dns: {host: carts.ecs.test, port: 80}}, {name: eks, protocol: http2, static: {endpoints: ["127.0.0.3:8080"]}}],
 split: {weights: {ecs: 10000, eks: 0}}}
---
{apiVersion: crossfade/v1, kind: Fleet, name: default}
---
{apiVersion: crossfade/v1, kind: Mirror, name: m1, service: orders, mode: compare, control: ecs, candidate: eks, share: 1.5%, maxRps: 50, methods: [GET, HEAD, OPTIONS],
 noise: {share: 20%}, duration: 1h, bodyCap: 1MiB, stop: {candidateErrors: 500}, rules: [{path: $.ts, action: ignore}]}
---
{apiVersion: crossfade/v1, kind: Rollout, name: r1, service: orders, to: eks, onFailure: rollback,
 steps: [{weight: 10%, bake: 5m, minRequests: 500}, {weight: 50%, bake: 10m}, {weight: 100%, bake: 30m}],
 guards: [{name: lat, metric: p99, max: 10s, window: 10s}, {name: err, metric: errorRate, max: 0.5%}]}
`

// validRequests are requests that are granted, or nearly, by their type.
func validRequests(t *testing.T) map[protoreflect.FullName][]proto.Message {
	t.Helper()
	parsed, err := manifest.Parse("documents", []byte(documents))
	if err != nil {
		t.Fatal(err)
	}
	docs := make([]*crossfadev1.Document, len(parsed))
	for i, p := range parsed {
		docs[i] = p.Document
	}
	service, mirror, rollout := docs[0], docs[3].GetMirror(), docs[4].GetRollout()
	out := map[protoreflect.FullName][]proto.Message{}
	for _, m := range []proto.Message{
		&crossfadev1.ApplyRequest{Documents: docs[:3]}, &crossfadev1.ApplyRequest{Documents: docs[1:2]}, &crossfadev1.ApplyRequest{Documents: docs[:1]},
		&crossfadev1.DiffRequest{Documents: docs[:3]},
		&crossfadev1.GetRequest{Kind: "service", Name: "orders"}, &crossfadev1.ListRequest{}, &crossfadev1.ListHistoryRequest{}, &crossfadev1.ListProxiesRequest{},
		&crossfadev1.DeleteRequest{Kind: "service", Name: "carts"}, &crossfadev1.DeleteRequest{Kind: "rollout", Name: "r1"},
		&crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"ecs": 5000, "eks": 5000}},
		&crossfadev1.PutPinRequest{Service: "orders", Pin: service.GetService().GetPins()[0]}, &crossfadev1.DeletePinRequest{Service: "orders", Name: "beta"},
		&crossfadev1.SetPrimaryRequest{Service: "orders", Origin: "eks"}, &crossfadev1.RollbackRequest{Service: "orders"}, &crossfadev1.RollbackRequest{Service: "carts"},
		&crossfadev1.UndoRequest{Service: "orders"}, &crossfadev1.WatchRequest{Service: "orders"}, &crossfadev1.ExplainRouteRequest{Host: "orders.test", Path: "/x"},
		&crossfadev1.ListEndpointsRequest{Service: "orders"}, &crossfadev1.WatchEndpointsRequest{Service: "orders"}, &crossfadev1.AcceptEndpointsRequest{Service: "orders", Origin: "ecs"},
		&crossfadev1.StartMirrorRequest{Mirror: mirror}, &crossfadev1.StopMirrorRequest{Name: "m1"}, &crossfadev1.GetMirrorReportRequest{}, &crossfadev1.WatchMirrorRequest{},
		&crossfadev1.StartRolloutRequest{Rollout: rollout}, &crossfadev1.StartRolloutRequest{Rollout: rollout, DryRun: true},
		&crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "abort"}, &crossfadev1.ActOnRolloutRequest{Name: "r1", Action: "promote"}, &crossfadev1.RunCanaryRequest{Rollout: rollout},
	} {
		name := m.ProtoReflect().Descriptor().FullName()
		out[name] = append(out[name], m)
	}
	return out
}
