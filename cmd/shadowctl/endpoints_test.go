package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// The endpoints of the world: orders moves, with a shrink that is held; of search, one source cannot be asked and one is looked up by proxies.

func originsAnswer() []*crossfadev1.OriginStatus {
	return []*crossfadev1.OriginStatus{
		{Service: "orders", Origin: "ecs", Source: "static", State: "ok", Ready: 1},
		{
			Service: "orders", Origin: "eks", Source: "kubernetes prod/shop/orders:8080", State: "held", Ready: 1, Draining: 1, Held: 1, AgeMs: 1200, HeldSince: before(3 * time.Minute),
			Detail: "its source no longer names 1 of 3 endpoints, unannounced and too many at once to be believed: they are used on; if they are meant to be gone: `shadowctl endpoints accept orders eks`",
		},
		{
			Service: "search", Origin: "ecs", Source: "ecs eu-central-1/prod/search:8080", State: "failing", AgeMs: 7.2e6, FailingSince: before(2 * time.Hour),
			Detail: "AWS denies ecs:ListTasks; give the server's role this right",
			Error:  &crossfadev1.ErrorDetail{Code: "access_denied", Message: "AWS denies ecs:ListTasks", Next: "give the server's role this right"},
		},
		{Service: "search", Origin: "eks", Source: "dns internal-search.test:443", State: "resolved", Detail: "each proxy looks the name up by itself"},
	}
}

func troubledOrigins() []*crossfadev1.OriginStatus { return originsAnswer()[1:3] }

func endpointsAnswer() *crossfadev1.ListEndpointsResponse {
	return &crossfadev1.ListEndpointsResponse{Origins: originsAnswer(), Items: []*crossfadev1.Endpoint{
		{Service: "orders", Origin: "ecs", Address: "127.0.0.2:8080", Source: "static", State: "ready"},
		{Service: "orders", Origin: "eks", Address: "10.0.0.3:8080", Zone: "eu-central-1a", Health: "ready", Source: "kubernetes", AgeMs: 1200, State: "ready", Metadata: map[string]string{"pod": "orders-7d4"}},
		{Service: "orders", Origin: "eks", Address: "10.0.0.4:8080", Zone: "eu-central-1b", Health: "serving, terminating", Source: "kubernetes", AgeMs: 1200, State: "draining"},
		{Service: "orders", Origin: "eks", Address: "10.0.0.5:8080", Zone: "eu-central-1c", Health: "ready", Source: "kubernetes", AgeMs: 181000, State: "held", HeldSince: before(3 * time.Minute)},
	}}
}

// TestEndpointsPages: all pages are read; with a limit, no more is asked for than that, and the rest has a token.
func TestEndpointsPages(t *testing.T) {
	all := endpointsAnswer()
	d := serve(t, &double{answer: func(_ context.Context, _ string, in proto.Message) (proto.Message, error) {
		r := in.(*crossfadev1.ListEndpointsRequest)
		out := &crossfadev1.ListEndpointsResponse{Items: all.GetItems()[:min(2, r.GetPageSize())], NextPageToken: "second"}
		switch r.GetPageToken() {
		case "":
			out.Origins = all.GetOrigins()
		case "second":
			out.Items, out.NextPageToken = all.GetItems()[2:][:min(2, r.GetPageSize())], ""
		}
		return out, nil
	}})
	addresses := func(r result) (out []string, next string) {
		var got struct {
			Items         []struct{ Address string }
			NextPageToken string
		}
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%v: %s%s", err, r.out, r.err)
		}
		for _, e := range got.Items {
			out = append(out, e.Address)
		}
		return out, got.NextPageToken
	}
	const a, b, c, e = "127.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:8080", "10.0.0.5:8080"
	for _, tt := range []struct {
		args string
		want []string
		next string
	}{
		{"", []string{a, b, c, e}, ""},
		{"--limit 1", []string{a}, "second"},
		{"--limit 3", []string{a, b, c}, ""},
		{"--limit 9", []string{a, b, c, e}, ""},
		{"--page-token second", []string{c, e}, ""},
	} {
		got, next := addresses(d.at(t, append(strings.Fields("endpoints list -o json"), strings.Fields(tt.args)...)...))
		if !slices.Equal(got, tt.want) || next != tt.next {
			t.Errorf("%q: %v, next %q; want %v, %q", tt.args, got, next, tt.want, tt.next)
		}
	}
	if r := d.at(t, "endpoints", "list", "--limit", "1"); r.err != "There is more: --page-token second, or a larger --limit\n" {
		t.Errorf("err %q", r.err)
	}
	asked := len(d.asked())
	if r := d.at(t, "endpoints", "list", "--summary"); r.exit != 0 || len(d.asked()) != asked+1 {
		t.Errorf("a summary takes %d calls: %s", len(d.asked())-asked, r.err)
	}
}

// TestEndpointsKeys: the keys of an endpoint are those that scripts rely on, also where they are empty.
func TestEndpointsKeys(t *testing.T) {
	d := serve(t, &double{answer: canned(world())})
	var got struct{ Items []map[string]any }
	if r := d.at(t, "endpoints", "list", "orders", "ecs", "-o", "json"); json.Unmarshal([]byte(r.out), &got) != nil || len(got.Items) == 0 {
		t.Fatal(r.out, r.err)
	}
	for _, key := range []string{"service", "origin", "address", "zone", "health", "source", "ageMs", "state"} {
		if _, ok := got.Items[0][key]; !ok {
			t.Errorf("no %q in %v", key, got.Items[0])
		}
	}
	if in := d.asked()[0].in.(*crossfadev1.ListEndpointsRequest); in.GetService() != "orders" || in.GetOrigin() != "ecs" {
		t.Errorf("asked %v", in)
	}
}

// TestAcceptNothing: nothing held is no error, and nothing is said of proxies that need not know.
func TestAcceptNothing(t *testing.T) {
	w := world()
	c := changed("none", map[string]int32{"ecs": 9000, "eks": 1000})
	c.Fleet = &crossfadev1.FleetState{Name: "default"}
	c.Proof = &crossfadev1.Proof{State: "unknown", Reason: "no proxy is connected"}
	w["AcceptEndpoints"] = &crossfadev1.AcceptEndpointsResponse{Change: c}
	d := serve(t, &double{answer: canned(w)})
	if r := d.at(t, "endpoints", "accept", "orders", "eks", "--reason", "scaled down"); r.exit != 0 || r.out != "orders: no endpoint of eks is held. Nothing was to change since revision 43.\n" || r.err != "" {
		t.Errorf("exit %d, out %q, err %q", r.exit, r.out, r.err)
	}
	if o := d.asked()[0].in.(*crossfadev1.AcceptEndpointsRequest).GetOptions(); o.GetReason() != "scaled down" || o.GetIdempotencyKey() == "" {
		t.Errorf("sent %v", o)
	}
}

// TestForce: the refusal for too few endpoints has its arithmetic and what to do, and --force goes with every change that can be so refused.
func TestForce(t *testing.T) {
	detail := &crossfadev1.ErrorDetail{
		Code: "capacity", Field: "split.weights.eks", Value: "50%", Next: "start more, or send less at first; --force does it all the same",
		Message: "eks would get 50% with 1 endpoint ready; when ecs has everything, each of its 6 endpoints gets 16.7%: an endpoint of eks would get 3 times as much, and 2 times is the most; 2 would be enough",
	}
	written := strings.Replace(exampleService, "# split:\n#   weights: {ecs: 90%, eks: 10%}", "split:\n  weights: {ecs: 50%, eks: 50%}", 1)
	for _, tt := range []struct{ args, place string }{
		{"split set orders eks=50%", ""},
		{"apply -f -", "stdin:28: "},
		{"undo orders", ""},
	} {
		d := serve(t, &double{answer: failing(codes.FailedPrecondition, detail)})
		env := map[string]string{"CROSSFADE_SERVER": d.address}
		r := shadowctl(t.Context(), invocation{args: strings.Fields(tt.args), stdin: written, env: env})
		if want := detail.GetMessage() + "\n" + detail.GetNext() + "\n"; r.exit != 9 || r.out != "" || !strings.HasSuffix(r.err, want) {
			t.Errorf("%s: exit %d, out %q, err %q", tt.args, r.exit, r.out, r.err)
		}
		if tt.place != "" && !strings.HasPrefix(r.err, "error: "+tt.place) {
			t.Errorf("%s: %s", tt.args, r.err)
		}
		shadowctl(t.Context(), invocation{args: append(strings.Fields(tt.args), "--force"), stdin: written, env: env})
		calls := d.asked()
		for i, forced := range []bool{false, true} {
			if in := calls[i].in.(interface {
				GetOptions() *crossfadev1.ChangeOptions
			}); in.GetOptions().GetForce() != forced {
				t.Errorf("%s: force %t, want %t", tt.args, in.GetOptions().GetForce(), forced)
			}
		}
	}
}

// TestManyTroubledOrigins: a cluster that is gone for 200 services does not scroll everything else away.
func TestManyTroubledOrigins(t *testing.T) {
	w := world()
	proxies := proxiesAnswer()
	services := &crossfadev1.ListResponse{}
	proxies.Origins = nil
	for i := range 200 {
		o := &crossfadev1.OriginStatus{Service: fmt.Sprintf("s%03d", i), Origin: "eks", State: "failing", Detail: "the cluster is gone"}
		proxies.Origins = append(proxies.Origins, o)
		services.Items = append(services.Items, &crossfadev1.ServiceStatus{Name: o.GetService(), Split: map[string]int32{"ecs": 10000}, Origins: []*crossfadev1.OriginStatus{o}})
	}
	w["ListProxies"], w["List"] = proxies, services
	d := serve(t, &double{answer: canned(w)})
	if r := d.at(t, "fleet"); strings.Count(r.out, "the cluster is gone") != 10 || !strings.HasSuffix(r.out, "\nand 190 origins more: shadowctl endpoints list --summary\n") {
		t.Error(r.out)
	}
	if r := d.at(t, "get", "services"); !strings.HasSuffix(r.out, "\nendpoints need a look: s000/eks failing, s001/eks failing, s002/eks failing, s003/eks failing, s004/eks failing and 195 more (shadowctl endpoints list --summary)\n") {
		t.Error(r.out)
	}
}

func endpointEvents() []*crossfadev1.WatchEndpointsResponse {
	at, all := timestamppb.New(now), endpointsAnswer()
	return []*crossfadev1.WatchEndpointsResponse{
		{Type: "endpoint", Time: at, Object: &crossfadev1.WatchEndpointsResponse_Endpoint{Endpoint: all.GetItems()[1]}},
		{Type: "gone", Time: at, Object: &crossfadev1.WatchEndpointsResponse_Endpoint{Endpoint: all.GetItems()[2]}},
		{Type: "origin", Time: at, Object: &crossfadev1.WatchEndpointsResponse_Origin{Origin: all.GetOrigins()[1]}},
	}
}

// TestEndpointsWatch: a line for each event, and on again when the server ends it.
func TestEndpointsWatch(t *testing.T) {
	var asked atomic.Pointer[crossfadev1.WatchEndpointsRequest]
	var streams atomic.Int32
	d := serve(t, &double{watchEndpoints: func(in *crossfadev1.WatchEndpointsRequest, out grpc.ServerStreamingServer[crossfadev1.WatchEndpointsResponse]) error {
		asked.Store(in)
		for _, e := range endpointEvents() {
			if err := out.Send(e); err != nil {
				return err
			}
		}
		if streams.Add(1) == 1 {
			return status.Error(codes.Unavailable, "shutting down")
		}
		<-out.Context().Done()
		return nil
	}})
	exit, out, errs := runUntil(t, d, 6, "endpoints", "watch", "orders", "eks", "-o", "json")
	if exit != 0 || errs != "connection lost (shutting down); trying again in 250ms\n" || asked.Load().GetService() != "orders" || asked.Load().GetOrigin() != "eks" {
		t.Errorf("exit %d, asked %v, err %s", exit, asked.Load(), errs)
	}
	for line := range strings.Lines(out) {
		var e struct {
			Type, Time string
			Object     map[string]any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time != "2026-03-01T03:00:00Z" || e.Object["origin"] != "eks" {
			t.Errorf("%v: %s", err, line)
		}
	}
	exit, out, _ = runUntil(t, d, 3, "endpoints", "watch")
	if exit != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	for _, want := range []string{
		"  endpoint  orders/eks  10.0.0.3:8080  ready  eu-central-1a  ready\n",
		"  gone      orders/eks  10.0.0.4:8080  draining  eu-central-1b  serving, terminating\n",
		"  origin    orders/eks  held, 1 ready, 1 draining, 1 held: its source no longer names 1 of 3",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no line with %q in\n%s", want, out)
		}
	}
}

// TestEndpointsWatchGivesUp: what another attempt would not mend ends it.
func TestEndpointsWatchGivesUp(t *testing.T) {
	d := serve(t, &double{watchEndpoints: func(*crossfadev1.WatchEndpointsRequest, grpc.ServerStreamingServer[crossfadev1.WatchEndpointsResponse]) error {
		return status.Error(codes.NotFound, "no such service")
	}})
	if exit, _, errs := runUntil(t, d, 1, "endpoints", "watch", "nothing"); exit != 4 || !strings.Contains(errs, "no such service") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}
