package server_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

func TestBounds(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders")
	long := strings.Repeat("x", 5000)
	split := func(o *crossfadev1.ChangeOptions) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": 100}, Options: o})
			return err
		}
	}
	for _, c := range []struct {
		name        string
		call        func(context.Context) error
		code, field string
	}{
		{"reason too long", split(&crossfadev1.ChangeOptions{Reason: long}), "too_long", "options.reason"},
		{"actor too long", split(&crossfadev1.ChangeOptions{Actor: long}), "too_long", "options.actor"},
		{"actor with escape", split(&crossfadev1.ChangeOptions{Actor: "a\x1b[2J"}), "not_printable", "options.actor"},
		{"reason with escape", split(&crossfadev1.ChangeOptions{Reason: "a\x1b[2J"}), "not_printable", "options.reason"},
		{"key too long", split(&crossfadev1.ChangeOptions{IdempotencyKey: long}), "too_long", "options.idempotencyKey"},
		{"expected revision below 0", split(&crossfadev1.ChangeOptions{ExpectRevision: -1}), "out_of_range", "options.expectRevision"},
		{"unknown wait", split(&crossfadev1.ChangeOptions{Wait: 99}), "wait_unknown", "options.wait"},
		{"timeout below 0", split(&crossfadev1.ChangeOptions{Timeout: durationpb.New(-1)}), "out_of_range", "options.timeout"},
		{"timeout too long", split(&crossfadev1.ChangeOptions{Timeout: durationpb.New(2 * time.Hour)}), "out_of_range", "options.timeout"},
		{"timeout that is none", split(&crossfadev1.ChangeOptions{Timeout: &durationpb.Duration{Seconds: math.MaxInt64}}), "out_of_range", "options.timeout"},
		{"service too long", func(ctx context.Context) error {
			_, err := f.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: long})
			return err
		}, "too_long", "service"},
		{"service missing", func(ctx context.Context) error {
			_, err := f.PutPin(ctx, &crossfadev1.PutPinRequest{})
			return err
		}, "required", "service"},
		{"pin missing", func(ctx context.Context) error {
			_, err := f.PutPin(ctx, &crossfadev1.PutPinRequest{Service: "orders"})
			return err
		}, "pin_missing", "pin"},
		{"pin name missing", func(ctx context.Context) error {
			_, err := f.DeletePin(ctx, &crossfadev1.DeletePinRequest{Service: "orders"})
			return err
		}, "required", "name"},
		{"origin missing", func(ctx context.Context) error {
			_, err := f.SetPrimary(ctx, &crossfadev1.SetPrimaryRequest{Service: "orders"})
			return err
		}, "required", "origin"},
		{"undo to below 0", func(ctx context.Context) error {
			_, err := f.Undo(ctx, &crossfadev1.UndoRequest{Service: "orders", To: -1})
			return err
		}, "out_of_range", "to"},
		{"rollback of nothing", func(ctx context.Context) error {
			_, err := f.Rollback(ctx, &crossfadev1.RollbackRequest{})
			return err
		}, "required", "service"},
		{"kind", func(ctx context.Context) error {
			_, err := f.Get(ctx, &crossfadev1.GetRequest{Kind: "pod", Name: "x"})
			return err
		}, "kind_unknown", "kind"},
		{"delete of a kind", func(ctx context.Context) error {
			_, err := f.Delete(ctx, &crossfadev1.DeleteRequest{Kind: "pod", Name: "x"})
			return err
		}, "kind_unknown", "kind"},
		{"empty document", func(ctx context.Context) error {
			_, err := f.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{service("a"), {}}})
			return err
		}, "document_empty", "documents[1]"},
		{"empty document in a diff", func(ctx context.Context) error {
			_, err := f.Diff(ctx, &crossfadev1.DiffRequest{Documents: []*crossfadev1.Document{{}}})
			return err
		}, "document_empty", "documents[0]"},
		{"no documents", func(ctx context.Context) error {
			_, err := f.Apply(ctx, &crossfadev1.ApplyRequest{})
			return err
		}, "required", "documents"},
		{"too many documents", func(ctx context.Context) error {
			_, err := f.Apply(ctx, &crossfadev1.ApplyRequest{Documents: make([]*crossfadev1.Document, 1001)})
			return err
		}, "too_many_documents", "documents"},
		{"page too large", func(ctx context.Context) error {
			_, err := f.List(ctx, &crossfadev1.ListRequest{PageSize: 1001})
			return err
		}, "out_of_range", "pageSize"},
		{"page below 0", func(ctx context.Context) error {
			_, err := f.ListHistory(ctx, &crossfadev1.ListHistoryRequest{PageSize: -1})
			return err
		}, "out_of_range", "pageSize"},
		{"port", func(ctx context.Context) error {
			_, err := f.ExplainRoute(ctx, &crossfadev1.ExplainRouteRequest{Host: "orders.test", Port: 70000})
			return err
		}, "out_of_range", "port"},
		{"watch of a name too long", func(ctx context.Context) error {
			w, err := f.Watch(ctx, &crossfadev1.WatchRequest{Service: long})
			if err == nil {
				_, err = w.Recv()
			}
			return err
		}, "too_long", "service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err := c.call(ctx)
			problems, _ := details(t, err)
			if status.Code(err) != codes.InvalidArgument || len(problems) == 0 || problems[0].GetCode() != c.code || problems[0].GetField() != c.field {
				t.Errorf("%v with %v, want InvalidArgument with %s of %s", err, problems, c.code, c.field)
			}
		})
	}
	if got, err := f.GetServerInfo(t.Context(), &crossfadev1.GetServerInfoRequest{}); err != nil || got.GetRevision() != 1 {
		t.Errorf("after all of that: %v, %v; nothing should have changed", got, err)
	}
}

func TestEveryProblemOfARequestIsSaidAtOnce(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	_, err := f.SetPrimary(t.Context(), &crossfadev1.SetPrimaryRequest{Options: &crossfadev1.ChangeOptions{ExpectRevision: -1}})
	problems, _ := details(t, err)
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.GetField())
	}
	if got := strings.Join(fields, " "); got != "service origin options.expectRevision" {
		t.Errorf("problems of %q", got)
	}
}

func TestAMessageOverTheLimitIsRefusedInWords(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t), MaxMessage: 10_000})
	large := func(bytes int) error {
		d := service("orders")
		d.GetService().Hosts = []string{strings.Repeat("x", bytes)}
		_, err := f.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{d}})
		return err
	}
	if err := large(9_000); status.Code(err) != codes.InvalidArgument {
		t.Errorf("below the limit: %v, want to hear of the host", err)
	}
	err := large(20_000)
	problems, _ := details(t, err)
	if status.Code(err) != codes.ResourceExhausted || len(problems) != 1 || problems[0].GetCode() != "message_too_large" || !strings.Contains(problems[0].GetMessage(), "10000") {
		t.Errorf("above the limit: %v with %v", err, problems)
	}
	if err := large(100_000); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("far above the limit: %v", err)
	}
}
