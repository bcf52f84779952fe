package server_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// fails serves an API whose SetSplit fails, and returns what a caller sees.
func fails(t *testing.T, err error) (*fixture, error) {
	t.Helper()
	f := start(t, server.Config{Controller: &stub{split: func(context.Context, control.Options) (*crossfadev1.Change, error) { return nil, err }}})
	_, got := f.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "orders"})
	return f, got
}

func TestEachKindOfErrorHasItsStatus(t *testing.T) {
	for kind, want := range map[policy.Kind]codes.Code{
		policy.Invalid: codes.InvalidArgument, policy.Conflict: codes.Aborted, policy.NotFound: codes.NotFound, policy.Unavailable: codes.Unavailable,
		policy.Refused: codes.FailedPrecondition, policy.TimedOut: codes.DeadlineExceeded, policy.Held: codes.FailedPrecondition, policy.Denied: codes.PermissionDenied, policy.Internal: codes.Internal,
		"": codes.Internal,
	} {
		t.Run(string(kind), func(t *testing.T) {
			e := &policy.Error{Kind: kind, Code: "the_code", Field: "split.weights", Value: "9", Message: "is wrong", Next: "correct it", Document: 3}
			_, err := fails(t, fmt.Errorf("on the way: %w", e))
			if status.Code(err) != want {
				t.Errorf("status %v, want %v", status.Code(err), want)
			}
			problems, _ := details(t, err)
			detail := &crossfadev1.ErrorDetail{Code: "the_code", Field: "split.weights", Value: "9", Message: "is wrong", Next: "correct it", Document: 3}
			if len(problems) != 1 || !proto.Equal(problems[0], detail) {
				t.Errorf("details %v, want %v", problems, detail)
			}
		})
	}
}

func TestAnErrorHoldsEveryProblemInOrderAndTheChangesThatStand(t *testing.T) {
	changes := []*crossfadev1.Change{{Service: "orders", Revision: 7, Recorded: true}, {Service: "carts", Revision: 8, Recorded: true}}
	many := policy.Errors{{Kind: policy.Refused, Code: "a", Message: "first"}, {Kind: policy.Invalid, Code: "b", Message: "second"}}
	_, err := fails(t, &control.ChangeError{Err: many, Changes: changes})
	problems, stand := details(t, err)
	if status.Code(err) != codes.FailedPrecondition || len(problems) != 2 || problems[0].GetCode() != "a" || problems[1].GetCode() != "b" {
		t.Errorf("%v with %v, want the status of the first and both in order", err, problems)
	}
	if len(stand) != 2 || !proto.Equal(stand[0], changes[0]) || !proto.Equal(stand[1], changes[1]) {
		t.Errorf("changes %v, want %v", stand, changes)
	}
}

func TestAContextThatEndedSaysWhatBecameOfTheChange(t *testing.T) {
	changes := []*crossfadev1.Change{{Service: "orders", Revision: 7, Recorded: true}}
	for _, c := range []struct {
		name string
		err  error
		want codes.Code
		says string
	}{
		{"canceled", context.Canceled, codes.Canceled, "whether the change was made is not known"},
		{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded, "whether the change was made is not known"},
		{"canceled, recorded", &control.ChangeError{Err: context.Canceled, Changes: changes}, codes.Canceled, "the change stands"},
		{"deadline, recorded", &control.ChangeError{Err: context.DeadlineExceeded, Changes: changes}, codes.DeadlineExceeded, "the change stands"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := fails(t, c.err)
			problems, _ := details(t, err)
			if status.Code(err) != c.want || !strings.Contains(status.Convert(err).Message(), c.says) || len(problems) != 1 {
				t.Errorf("%v with %v, want %v that says %q", err, problems, c.want, c.says)
			}
		})
	}
}

func TestAnUnknownErrorLeaksNothing(t *testing.T) {
	f, err := fails(t, errors.New("password is swordfish"))
	problems, _ := details(t, err)
	if status.Code(err) != codes.Internal || strings.Contains(fmt.Sprint(err, problems), "swordfish") {
		t.Errorf("%v with %v", err, problems)
	}
	if id := problems[0].GetValue(); id == "" || !regexp.MustCompile(`swordfish.*id=`+id).MatchString(f.log.String()) {
		t.Errorf("the log does not have the error under id %q: %s", problems[0].GetValue(), f.log)
	}
}

func TestMoreProblemsThanAHeaderHoldsAreCounted(t *testing.T) {
	const n = 20_000
	many := make(policy.Errors, n)
	for i := range many {
		many[i] = &policy.Error{Kind: policy.Invalid, Code: "bad", Field: fmt.Sprintf("documents[%d]", i), Message: "is wrong", Document: i}
	}
	_, err := fails(t, many)
	problems, _ := details(t, err)
	last := problems[len(problems)-1]
	if status.Code(err) != codes.InvalidArgument || len(problems) < 100 || last.GetCode() != "more_problems" {
		t.Fatalf("%v with %d problems, the last one %v", status.Code(err), len(problems), last)
	}
	if want := fmt.Sprintf("%d more problems", n-(len(problems)-1)); !strings.Contains(last.GetMessage(), want) {
		t.Errorf("it says %q, want %q", last.GetMessage(), want)
	}
}

func TestATextThatIsNotUTF8DoesNotBreakTheAnswer(t *testing.T) {
	_, err := fails(t, &policy.Error{Kind: policy.Refused, Code: "refused_by_proxy", Message: "Envoy said \xff\xfe" + strings.Repeat("ü", 10_000)})
	problems, _ := details(t, err)
	if status.Code(err) != codes.FailedPrecondition || len(problems) != 1 || !strings.HasPrefix(problems[0].GetMessage(), "Envoy said ") {
		t.Errorf("%v with %v", err, problems)
	}
}

func TestAChangeThatIsNotUTF8DoesNotBreakTheAnswer(t *testing.T) {
	_, err := fails(t, &control.ChangeError{Err: &policy.Error{Kind: policy.TimedOut, Code: "not_acked", Message: "waits"}, Changes: []*crossfadev1.Change{
		{Service: "orders", Warnings: []string{"it said \xff"}}, {Service: "pay", Revision: 8},
	}})
	problems, stand := details(t, err)
	if status.Code(err) != codes.DeadlineExceeded || len(problems) != 1 || len(stand) != 1 || stand[0].GetService() != "pay" {
		t.Errorf("%v with %v and %v", err, problems, stand)
	}
}
