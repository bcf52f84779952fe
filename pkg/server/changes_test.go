package server_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

func TestEachMethodOfAChange(t *testing.T) {
	told := make(chan string, 100)
	f := start(t, server.Config{
		Controller: newController(t), Info: server.Info{Version: "v1", Commit: "abc", Addresses: map[string]string{"api": "x:1"}, Started: time.Unix(7, 0)},
		Changed: func(method string, changes []*crossfadev1.Change, _ time.Duration) {
			told <- method + " " + changes[0].GetService()
		},
	})
	ctx := t.Context()
	o := &crossfadev1.ChangeOptions{Actor: "ann", Reason: "trying"}
	check := func(method string, c *crossfadev1.Change, revision int64, action string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if c.GetRevision() != revision || c.GetAction() != action || !c.GetRecorded() {
			t.Errorf("%s: %v, want revision %d by %q", method, c, revision, action)
		}
		if got := <-told; got != method+" orders" {
			t.Errorf("told %q, want %s orders", got, method)
		}
	}
	first := func(c []*crossfadev1.Change) *crossfadev1.Change {
		if len(c) != 1 {
			t.Fatalf("%d changes, want 1", len(c))
		}
		return c[0]
	}
	applied, err := f.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{service("orders")}, Options: o})
	check("Apply", first(applied.GetChanges()), 1, "apply", err)
	split, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": 10000}, Options: o})
	check("SetSplit", split.GetChange(), 2, "split set", err)
	primary, err := f.SetPrimary(ctx, &crossfadev1.SetPrimaryRequest{Service: "orders", Origin: "eks", Options: o})
	check("SetPrimary", primary.GetChange(), 3, "service set-primary", err)
	pin := &crossfadev1.Pin{Name: "beta", Origin: "ecs", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}}
	put, err := f.PutPin(ctx, &crossfadev1.PutPinRequest{Service: "orders", Pin: pin, Options: o})
	check("PutPin", put.GetChange(), 4, "pin add", err)
	removed, err := f.DeletePin(ctx, &crossfadev1.DeletePinRequest{Service: "orders", Name: "beta", Options: o})
	check("DeletePin", removed.GetChange(), 5, "pin rm", err)
	undone, err := f.Undo(ctx, &crossfadev1.UndoRequest{Service: "orders", To: 1, Options: o})
	check("Undo", undone.GetChange(), 6, "undo", err)
	back, err := f.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders", Options: o})
	check("Rollback", first(back.GetChanges()), 7, "rollback", err)
	deleted, err := f.Delete(ctx, &crossfadev1.DeleteRequest{Kind: "service", Name: "orders", Options: o})
	check("Delete", deleted.GetChange(), 8, "delete", err)

	history, err := f.ListHistory(ctx, &crossfadev1.ListHistoryRequest{})
	if err != nil || len(history.GetItems()) != 8 {
		t.Fatalf("%d revisions, %v", len(history.GetItems()), err)
	}
	for _, r := range history.GetItems() {
		if r.GetWho() != "ann" || r.GetVerified() || r.GetReason() != "trying" {
			t.Errorf("revision %d: %q, verified %t, %q", r.GetRevision(), r.GetWho(), r.GetVerified(), r.GetReason())
		}
	}
	info, err := f.GetServerInfo(ctx, &crossfadev1.GetServerInfoRequest{})
	if err != nil || info.GetVersion() != "v1" || info.GetCommit() != "abc" || info.GetAddresses()["api"] != "x:1" || info.GetRevision() != 8 || info.GetStarted().GetSeconds() != 7 {
		t.Errorf("info %v, %v", info, err)
	}
}

func TestReads(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders")
	ctx := t.Context()
	got, err := f.Get(ctx, &crossfadev1.GetRequest{Kind: "service", Name: "orders"})
	if err != nil || got.GetDocument().GetService().GetName() != "orders" || got.GetStatus().GetSplit()["ecs"] != 10000 {
		t.Errorf("get: %v, %v", got, err)
	}
	_, err = f.Get(ctx, &crossfadev1.GetRequest{Kind: "service", Name: "carts"})
	if problems, _ := details(t, err); status.Code(err) != codes.NotFound || len(problems) != 1 {
		t.Errorf("get of what is not there: %v", err)
	}
	diff, err := f.Diff(ctx, &crossfadev1.DiffRequest{Documents: []*crossfadev1.Document{service("orders"), service("carts")}})
	if err != nil || len(diff.GetDifferences()) != 2 || diff.GetDifferences()[0].GetAction() != "none" || diff.GetDifferences()[1].GetAction() != "create" {
		t.Errorf("diff: %v, %v", diff, err)
	}
	why, err := f.ExplainRoute(ctx, &crossfadev1.ExplainRouteRequest{Host: "orders.test", Path: "/"})
	if err != nil || why.GetService() != "orders" || why.GetOrigin() != "ecs" {
		t.Errorf("explain: %v, %v", why, err)
	}
}

func TestAStaleRevisionIsAConflict(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders")
	_, err := f.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{
		Service: "orders", Weights: map[string]int32{"eks": 100}, Options: &crossfadev1.ChangeOptions{ExpectRevision: 9},
	})
	problems, _ := details(t, err)
	if status.Code(err) != codes.Aborted || len(problems) != 1 || problems[0].GetCode() != "revision_conflict" {
		t.Errorf("%v with %v", err, problems)
	}
}

func TestAnIdempotencyKeyIsOfOneRequestWhateverItWaitsFor(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders")
	ctx := t.Context()
	set := func(eks int32, o *crossfadev1.ChangeOptions) (int64, error) {
		o.IdempotencyKey = "k1"
		got, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": eks, "ecs": 10000 - eks}, Options: o})
		return got.GetChange().GetRevision(), err
	}
	for _, o := range []*crossfadev1.ChangeOptions{
		{},
		{Wait: crossfadev1.Wait_WAIT_NONE},
		{Timeout: durationpb.New(time.Second)},
		{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(time.Minute)},
		{Actor: "ci@another-machine"},
	} {
		if revision, err := set(100, o); err != nil || revision != 2 {
			t.Errorf("with %v: revision %d, %v; want 2", o, revision, err)
		}
	}
	reused := func(name string, err error) {
		t.Helper()
		problems, _ := details(t, err)
		if status.Code(err) != codes.InvalidArgument || len(problems) != 1 || problems[0].GetCode() != "idempotency_key_reused" {
			t.Errorf("%s: %v with %v", name, err, problems)
		}
	}
	_, err := set(200, &crossfadev1.ChangeOptions{})
	reused("other weights", err)
	_, err = set(100, &crossfadev1.ChangeOptions{Reason: "another"})
	reused("other reason", err)
	_, err = set(100, &crossfadev1.ChangeOptions{Force: true})
	reused("with force", err)
	_, err = f.DeletePin(ctx, &crossfadev1.DeletePinRequest{Service: "orders", Name: "x", Options: &crossfadev1.ChangeOptions{IdempotencyKey: "k1"}})
	reused("other method", err)
}

func TestTheControllerIsToldWhatTheCallerWants(t *testing.T) {
	var got control.Options
	f := start(t, server.Config{Controller: &stub{split: func(_ context.Context, o control.Options) (*crossfadev1.Change, error) {
		got = o
		return &crossfadev1.Change{}, nil
	}}})
	_, err := f.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "orders", Options: &crossfadev1.ChangeOptions{
		Reason: "two\nlines", ExpectRevision: 4, Wait: crossfadev1.Wait_WAIT_PROVEN, Timeout: durationpb.New(3 * time.Second), Force: true, IdempotencyKey: "k",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.Who, "unknown from 127.") || got.Verified || got.Reason != "two\nlines" || got.Expect != 4 || got.Wait != crossfadev1.Wait_WAIT_PROVEN ||
		got.Timeout != 3*time.Second || !got.Force || got.Key != "k" || len(got.Digest) != 32 {
		t.Errorf("options %+v", got)
	}
}

func TestWho(t *testing.T) {
	from := func(ip string) context.Context {
		return peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 7}})
	}
	for _, c := range []struct {
		ctx         context.Context
		actor, want string
	}{
		{from("127.0.0.1"), "ann", "ann"},
		{from("::1"), "ann", "ann"},
		{from("10.1.2.3"), "ann", "ann from 10.1.2.3"},
		{from("127.0.0.1"), "", "unknown from 127.0.0.1"},
		{from("2001:db8::1"), "", "unknown from 2001:db8::1"},
		{t.Context(), "ann", "ann"},
		{t.Context(), "", "unknown"},
	} {
		if got := server.Who(c.ctx, c.actor); got != c.want {
			t.Errorf("%q: %q, want %q", c.actor, got, c.want)
		}
	}
}
