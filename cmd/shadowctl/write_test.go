package main

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

// closedAddress is an address of loopback where nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestOptions: the global flags reach the server with every change.
func TestOptions(t *testing.T) {
	d := serve(t, &double{answer: canned(world())})
	d.at(t, "split", "set", "orders", "eks=12.5%", "--reason", "step 2", "--wait", "proven", "--timeout", "3s", "--expect-revision", "41", "--idempotency-key", "job-7")
	d.at(t, "--reason", "night", "rollback", "orders")
	calls := d.asked()
	if len(calls) != 2 {
		t.Fatalf("calls: %v", calls)
	}
	set := calls[0].in.(*crossfadev1.SetSplitRequest)
	o := set.GetOptions()
	if len(set.GetWeights()) != 1 || set.GetWeights()["eks"] != 1250 || o.GetReason() != "step 2" || o.GetWait() != crossfadev1.Wait_WAIT_PROVEN ||
		o.GetTimeout().AsDuration() != 3*time.Second || o.GetExpectRevision() != 41 || o.GetIdempotencyKey() != "job-7" || !strings.HasPrefix(o.GetActor(), "alice") {
		t.Errorf("sent %v", set)
	}
	back := calls[1].in.(*crossfadev1.RollbackRequest)
	if o := back.GetOptions(); o.GetWait() != crossfadev1.Wait_WAIT_UNSPECIFIED || o.GetReason() != "night" || o.GetTimeout().AsDuration() != 10*time.Second || len(o.GetIdempotencyKey()) < 20 {
		t.Errorf("sent %v", back)
	}
}

// TestRetry: a call that could not reach the server is made once more, a change with the same key, and not a third time.
func TestRetry(t *testing.T) {
	for _, args := range [][]string{{"get", "services"}, {"split", "set", "orders", "eks=10%"}, {"rollback", "orders"}} {
		for failures, wantExit := range map[int32]int{1: 0, 2: 5} {
			var n atomic.Int32
			d := serve(t, &double{answer: func(ctx context.Context, method string, in proto.Message) (proto.Message, error) {
				if n.Add(1) <= failures {
					return nil, status.Error(codes.Unavailable, "error reading from server: EOF")
				}
				return canned(world())(ctx, method, in)
			}})
			r := d.at(t, args...)
			calls := d.asked()
			if r.exit != wantExit || len(calls) != 2 {
				t.Errorf("%v, %d failures: exit %d after %d calls: %s", args, failures, r.exit, len(calls), r.err)
			}
			if len(calls) == 2 && !proto.Equal(calls[0].in, calls[1].in) {
				t.Errorf("%v: the second try differs:\n%v\n%v", args, calls[0].in, calls[1].in)
			}
			if inDoubt := strings.Contains(r.err, "whether the change was made is not known"); inDoubt != (wantExit == 5 && args[0] != "get") {
				t.Errorf("%v, %d failures: in doubt %v: %s", args, failures, inDoubt, r.err)
			}
		}
	}
}

// TestNoRetryOfARefusal: what the server itself says is not asked again.
func TestNoRetryOfARefusal(t *testing.T) {
	d := serve(t, &double{answer: failing(codes.Unavailable, &crossfadev1.ErrorDetail{Code: "store_unavailable", Message: "the disk is full"})})
	if r := d.at(t, "split", "set", "orders", "eks=10%"); r.exit != 5 || len(d.asked()) != 1 || strings.Contains(r.err, startServer) {
		t.Errorf("exit %d after %d calls: %s", r.exit, len(d.asked()), r.err)
	}
}

// hang answers when the caller has gone.
func hang(entered chan<- struct{}) func(context.Context, string, proto.Message) (proto.Message, error) {
	return func(ctx context.Context, _ string, _ proto.Message) (proto.Message, error) {
		if entered != nil {
			entered <- struct{}{}
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// TestInterruptedWait: Ctrl-C while a change waits says that the change stands, and where to look.
func TestInterruptedWait(t *testing.T) {
	entered := make(chan struct{}, 1)
	d := serve(t, &double{answer: hang(entered)})
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { <-entered; interrupt() }()
	r := shadowctl(ctx, invocation{args: []string{"rollback", "orders"}, env: map[string]string{"CROSSFADE_SERVER": d.address}})
	if r.exit != 7 || !strings.Contains(r.err, "the change stands") || !strings.Contains(r.err, "shadowctl history orders") {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
}

// TestNoAnswer: a server that does not answer in time leaves a change in doubt, and a question simply unanswered.
func TestNoAnswer(t *testing.T) {
	d := serve(t, &double{answer: hang(nil)})
	r := d.at(t, "get", "services", "--timeout", "50ms")
	if r.exit != 7 || r.err != "error: no answer from "+d.address+" within 50ms\ntry a longer --timeout\n" {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
	r = d.at(t, "rollback", "--all", "--timeout", "50ms")
	if r.exit != 7 || !strings.Contains(r.err, "the change stands if the server has it\n`shadowctl history` shows") {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
}

// TestWaitedTooLong: the server says that the change stands; its words are passed on.
func TestWaitedTooLong(t *testing.T) {
	d := serve(t, &double{answer: failing(codes.DeadlineExceeded, &crossfadev1.ErrorDetail{Code: "wait_timeout", Message: "11/12 proxies acknowledged within 10s; the change stands", Next: "look at `shadowctl fleet`"})})
	if r := d.at(t, "split", "set", "orders", "eks=10%"); r.exit != 7 || r.err != "error: 11/12 proxies acknowledged within 10s; the change stands\nlook at `shadowctl fleet`\n" {
		t.Errorf("exit %d: %s", r.exit, r.err)
	}
}

// TestApplyWithoutAProxy: what to run next is said, with the server's own address.
func TestApplyWithoutAProxy(t *testing.T) {
	w := world()
	c := changed("apply", map[string]int32{"ecs": 10000, "eks": 0})
	c.Fleet = &crossfadev1.FleetState{Name: "edge"}
	w["Apply"] = &crossfadev1.ApplyResponse{Changes: []*crossfadev1.Change{c}}
	w["GetServerInfo"] = &crossfadev1.GetServerInfoResponse{Addresses: map[string]string{"xds": "127.0.0.1:4711"}}
	d := serve(t, &double{answer: canned(w)})
	r := shadowctl(t.Context(), invocation{args: []string{"apply", "-f", "-"}, stdin: exampleService, env: map[string]string{"CROSSFADE_SERVER": d.address}})
	const want = "Start a proxy of fleet edge:\n" +
		"  shadowctl bootstrap --fleet edge --node-id edge-1 --listen-address 127.0.0.1 --xds 127.0.0.1:4711 > bootstrap.yaml\n" +
		"  envoy -c bootstrap.yaml --use-dynamic-base-id\n"
	if r.exit != 0 || r.err != want || !strings.Contains(r.out, "No proxy of fleet edge is connected") {
		t.Errorf("exit %d, out %s, err %s", r.exit, r.out, r.err)
	}
}

// TestTheBootstrapOfAServerWithTLSNamesFiles: without them the proxy would not be let in.
func TestTheBootstrapOfAServerWithTLSNamesFiles(t *testing.T) {
	got := proxyCommands("edge", "control.test:18000", tlsFlags{ca: "ca.crt", cert: "ann.crt", key: "ann.key", serverName: "control"})
	want := []string{
		"shadowctl bootstrap --fleet edge --node-id edge-1 --xds control.test:18000 --out DIR --tls-ca FILE --tls-cert FILE --tls-key FILE --tls-server-name control",
		"envoy -c DIR/bootstrap.yaml --use-dynamic-base-id",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestEmpty: where there is nothing yet, people are told how to begin, and scripts get an empty list.
func TestEmpty(t *testing.T) {
	d := serve(t, &double{answer: canned(map[string]proto.Message{
		"List": &crossfadev1.ListResponse{}, "ListProxies": &crossfadev1.ListProxiesResponse{}, "ListHistory": &crossfadev1.ListHistoryResponse{},
		"Rollback": &crossfadev1.RollbackResponse{}, "GetServerInfo": &crossfadev1.GetServerInfoResponse{Addresses: map[string]string{"xds": "127.0.0.1:4711"}},
	})})
	for args, want := range map[string]string{
		"get services":   "shadowctl example service > service.yaml",
		"fleet":          "--xds 127.0.0.1:4711",
		"history":        "Nothing has been changed yet.",
		"rollback --all": "There was nothing to roll back.",
	} {
		if r := d.at(t, strings.Fields(args)...); r.exit != 0 || r.out != "" || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, out %q, err %s", args, r.exit, r.out, r.err)
		}
		r := d.at(t, append(strings.Fields(args), "-o", "json")...)
		if r.out != "{\n  \"items\": [],\n  \"nextPageToken\": \"\"\n}\n" {
			t.Errorf("%s: %s", args, r.out)
		}
	}
}

// TestPages: lists are read to their end.
func TestPages(t *testing.T) {
	d := serve(t, &double{answer: func(_ context.Context, _ string, in proto.Message) (proto.Message, error) {
		if in.(*crossfadev1.ListRequest).GetPageToken() == "" {
			return &crossfadev1.ListResponse{Items: []*crossfadev1.ServiceStatus{ordersStatus()}, NextPageToken: "orders"}, nil
		}
		return &crossfadev1.ListResponse{Items: []*crossfadev1.ServiceStatus{paymentsStatus()}}, nil
	}})
	r := d.at(t, "get", "services")
	if r.exit != 0 || !strings.Contains(r.out, "orders") || !strings.Contains(r.out, "payments") || len(d.asked()) != 2 {
		t.Errorf("exit %d after %d calls: %s", r.exit, len(d.asked()), r.out)
	}
}
