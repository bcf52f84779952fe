package main

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// The world of the golden tests: two services, a fleet of three proxies, a short history.

func before(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

func ordersDocument(ecs int32) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test", "*.orders.test", "orders.example"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{
			{Name: "ecs", Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{"127.0.0.2:8080"}}}},
			{
				Name: "eks", Protocol: "http2", Discovery: &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{Cluster: "prod", Namespace: "shop", Service: "orders", Port: "8080"}},
				Tls: &crossfadev1.Tls{ServerName: "orders.internal"}, SlowStart: durationpb.New(30 * time.Second), Capacity: &crossfadev1.Capacity{RequestsPerSecond: 200},
			},
		},
		Split: &crossfadev1.Split{
			Weights: map[string]int32{"ecs": ecs, "eks": 10000 - ecs},
			Sticky:  &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: &crossfadev1.StickyCookie{Name: "cf", Ttl: durationpb.New(24 * time.Hour)}}},
		},
		Pins: []*crossfadev1.Pin{
			{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}},
			{Name: "old", Origin: "ecs", Enabled: proto.Bool(false), Match: &crossfadev1.Pin_Cookie{Cookie: &crossfadev1.ValueMatch{Name: "v", Condition: &crossfadev1.ValueMatch_Prefix{Prefix: "1."}}}},
		},
		Timeouts: &crossfadev1.Timeouts{Request: durationpb.New(1500 * time.Millisecond)},
	}}}
}

func fleetDocument() *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: "default", TrustedHops: 1}}}
}

func ordersStatus() *crossfadev1.ServiceStatus {
	return &crossfadev1.ServiceStatus{
		Name: "orders", Fleet: "default", Hosts: []string{"orders.test", "*.orders.test", "orders.example"}, Primary: "ecs", Origins: originsAnswer()[:2],
		Split: map[string]int32{"ecs": 9000, "eks": 1000}, Revision: 42, Changed: before(3 * time.Minute), ChangedBy: "alice@laptop",
		Action: "split set", Reason: "first step", Pins: []string{"beta"},
		Traffic: map[string]*crossfadev1.OriginTraffic{
			"ecs": {Rps: 1204.4, ErrorRate: 0.00002, P99Ms: proto.Float64(31.2), P50Ms: proto.Float64(4), Requests: 6022, Window: durationpb.New(5 * time.Second)},
			"eks": {Rps: 133, ErrorRate: 0.0123, P99Ms: proto.Float64(1240), P50Ms: proto.Float64(5), Requests: 665, Window: durationpb.New(5 * time.Second)},
		},
	}
}

func paymentsStatus() *crossfadev1.ServiceStatus {
	return &crossfadev1.ServiceStatus{
		Name: "payments", Fleet: "edge", Hosts: []string{"payments.test"}, Primary: "ecs", Split: map[string]int32{"ecs": 10000, "eks": 0},
		Revision: 40, Changed: before(50 * time.Hour), ChangedBy: "bob@ci", Action: "rollback", RolledBack: true,
	}
}

func proxiesAnswer() *crossfadev1.ListProxiesResponse {
	return &crossfadev1.ListProxiesResponse{Items: []*crossfadev1.Proxy{
		{Proxy: "edge-1", Fleet: "default", Connected: true, Version: "1.40.0", AckedRevision: 42, WantedRevision: 42, State: "ok", ConnectedSince: before(time.Hour), LastSeen: before(time.Second)},
		{
			Proxy: "edge-2", Fleet: "default", Connected: true, Version: "1.37.0", AckedRevision: 40, WantedRevision: 42, LagMs: 2310, State: "refused", Detail: "keeps its last good configuration",
			LastNack: &crossfadev1.Nack{Type: "Listener", Resource: "listener/10000", Message: "cannot bind '0.0.0.0:10000': Address already in use", Time: before(2 * time.Second)},
		},
		{Proxy: "edge-3", Fleet: "default", Version: "1.40.0", AckedRevision: 41, WantedRevision: 42, State: "lost", Detail: "not connected; it serves what it last had", LastSeen: before(11 * time.Minute)},
	}, Origins: troubledOrigins()}
}

func historyAnswer() *crossfadev1.ListHistoryResponse {
	return &crossfadev1.ListHistoryResponse{NextPageToken: "39", Items: []*crossfadev1.Revision{
		{
			Revision: 42, Time: before(3 * time.Minute), Who: "alice@laptop", Verified: true, Action: "split set", Service: "orders", Kind: "Service", Reason: "first step",
			Before: ordersDocument(10000), After: ordersDocument(9000), Fleet: &crossfadev1.FleetState{Name: "default", Connected: 3, Acked: 2, Refused: []*crossfadev1.Refusal{{Proxy: "edge-2"}}},
		},
		{Revision: 41, Time: before(2 * time.Hour), Who: "bob@ci", Action: "apply", Service: "orders", Kind: "Service", After: ordersDocument(10000)},
		{Revision: 40, Time: before(50 * time.Hour), Who: "bob@ci", Action: "apply", Service: "default", Kind: "Fleet", After: fleetDocument()},
	}}
}

// rolledBack is the change that the mission describes.
func rolledBack() *crossfadev1.Change {
	return &crossfadev1.Change{
		Service: "orders", Kind: "Service", Action: "rollback", Revision: 42, Recorded: true, Split: map[string]int32{"ecs": 10000, "eks": 0},
		Fleet: &crossfadev1.FleetState{Name: "default", Connected: 12, Acked: 12, AckMs: 9},
		Proof: &crossfadev1.Proof{State: "proven", SinceMs: 200, ResolutionMs: 250, OpenStreams: map[string]int64{"eks": 3}},
	}
}

func changed(action string, split map[string]int32) *crossfadev1.Change {
	return &crossfadev1.Change{
		Service: "orders", Kind: "Service", Action: action, Revision: 43, Recorded: true, Split: split,
		Fleet: &crossfadev1.FleetState{Name: "default", Connected: 3, Acked: 3, AckMs: 4.25},
	}
}

func world() map[string]proto.Message {
	ninety := map[string]int32{"ecs": 9000, "eks": 1000}
	return map[string]proto.Message{
		"Apply": &crossfadev1.ApplyResponse{Changes: []*crossfadev1.Change{
			changed("apply", ninety),
			{Service: "default", Kind: "Fleet", Action: "apply", Recorded: true, Fleet: &crossfadev1.FleetState{Name: "default", Connected: 3, Acked: 3, AckMs: 1}},
		}},
		"Diff": &crossfadev1.DiffResponse{Differences: []*crossfadev1.Difference{
			{Kind: "Service", Name: "orders", Action: "update", Fields: []*crossfadev1.FieldChange{
				{Field: "split.weights.eks", Before: "0%", After: "10%"}, {Field: "timeouts.request", After: "1.5s"}, {Field: "pins[beta]", Before: "eks"},
			}},
			{Kind: "Fleet", Name: "default", Action: "none"},
		}},
		"List":            &crossfadev1.ListResponse{Items: []*crossfadev1.ServiceStatus{ordersStatus(), paymentsStatus()}},
		"Get":             &crossfadev1.GetResponse{Document: ordersDocument(9000), Status: ordersStatus()},
		"ListMirrors":     mirrorsAnswer(),
		"GetMirrorReport": &crossfadev1.GetMirrorReportResponse{Report: mirrorReport(3)},
		"StopMirror":      &crossfadev1.StopMirrorResponse{Change: mirrorChange("mirror stop")},
		"ListEndpoints":   endpointsAnswer(),
		"AcceptEndpoints": &crossfadev1.AcceptEndpointsResponse{Change: changed("endpoints accept", ninety), Accepted: endpointsAnswer().GetItems()[3:]},
		"Delete":          &crossfadev1.DeleteResponse{Change: changed("delete", nil)},
		"SetSplit":        &crossfadev1.SetSplitResponse{Change: changed("split set", ninety)},
		"PutPin":          &crossfadev1.PutPinResponse{Change: changed("pin add", ninety)},
		"DeletePin":       &crossfadev1.DeletePinResponse{Change: changed("pin rm", ninety)},
		"SetPrimary":      &crossfadev1.SetPrimaryResponse{Change: changed("service set-primary", map[string]int32{"ecs": 0, "eks": 10000})},
		"Rollback":        &crossfadev1.RollbackResponse{Changes: []*crossfadev1.Change{rolledBack()}},
		"Undo":            &crossfadev1.UndoResponse{Change: changed("undo", map[string]int32{"ecs": 10000, "eks": 0})},
		"ListProxies":     proxiesAnswer(),
		"ListHistory":     historyAnswer(),
		"ExplainRoute":    &crossfadev1.ExplainRouteResponse{Service: "orders", Chances: ninety, Steps: []string{`host "orders.test" selects "orders.test" on port 10000`, "drawn at random by the split ecs=90% eks=10%"}},
		"GetServerInfo":   &crossfadev1.GetServerInfoResponse{Version: "0.1.0", Commit: "abc1234", Revision: 42, Started: before(26 * time.Hour), Addresses: map[string]string{"xds": "127.0.0.1:18000", "api": "127.0.0.1:18080"}},
	}
}
