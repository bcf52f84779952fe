package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// statusOf gives the gRPC code of each kind of error.
var statusOf = map[policy.Kind]codes.Code{
	policy.Invalid:     codes.InvalidArgument,
	policy.Conflict:    codes.Aborted,
	policy.NotFound:    codes.NotFound,
	policy.Unavailable: codes.Unavailable,
	policy.Refused:     codes.FailedPrecondition,
	policy.TimedOut:    codes.DeadlineExceeded,
	policy.Held:        codes.FailedPrecondition,
	policy.Denied:      codes.PermissionDenied,
	policy.Internal:    codes.Internal,
}

// errStopping is why a context ended that the server ended.
var errStopping = errors.New("the server is stopping")

// call is what the words for an error depend on.
type call struct {
	method string // short name
	write  bool
}

// fail puts an error into the form of the contract. What is nobody's to know is logged instead.
func (a *API) fail(ctx context.Context, c call, err error) error {
	changes := changesOfError(err)
	var (
		many policy.Errors
		one  *policy.Error
	)
	switch {
	case isStatus(err):
		return err
	case errors.As(err, &many) && len(many) > 0:
		return newStatus(statusOfKind(many[0].Kind), many, changes)
	case errors.As(err, &one):
		if stopping := *one; one.Kind == policy.TimedOut && errors.Is(context.Cause(ctx), errStopping) {
			stopping.Message = errStopping.Error() + "; " + one.Message
			one = &stopping
		}
		return newStatus(statusOfKind(one.Kind), policy.Errors{one}, changes)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return interrupted(ctx, c, err, changes)
	}
	id := rand.Text()[:8]
	a.log.ErrorContext(ctx, "a call failed in a way that it should not", "method", c.method, "error", err, "id", id)
	return newStatus(codes.Internal, policy.Errors{{
		Code: "internal", Value: id, Message: "the server made a mistake; its log says more under this id", Next: "please report it with the lines of the log",
	}}, changes)
}

// isStatus tells an error that has its form already. A status that another error wraps is not meant for the caller.
func isStatus(err error) bool {
	_, ok := err.(interface{ GRPCStatus() *status.Status })
	return ok
}

func statusOfKind(k policy.Kind) codes.Code {
	if code, ok := statusOf[k]; ok {
		return code
	}
	return codes.Internal
}

// changesOfError returns the changes that stand in spite of an error.
func changesOfError(err error) []*crossfadev1.Change {
	var failed *control.ChangeError
	if errors.As(err, &failed) {
		return failed.Changes
	}
	return nil
}

// interrupted says what became of a call whose context ended: the caller's deadline, the caller is gone, or the server stops.
func interrupted(ctx context.Context, c call, err error, changes []*crossfadev1.Change) error {
	e := &policy.Error{Code: "canceled", Message: "the caller stopped waiting"}
	code := codes.Canceled
	switch {
	case errors.Is(context.Cause(ctx), errStopping):
		e.Code, e.Message, code = "server_stopping", errStopping.Error(), codes.Unavailable
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Message, code = "deadline", "the call's deadline came first", codes.DeadlineExceeded
	}
	switch {
	case !c.write:
	case recorded(changes):
		if code == codes.Unavailable { // the change is made: trying again is not the way out
			code = codes.DeadlineExceeded
		}
		e.Message += "; the change stands"
		e.Next = "`shadowctl fleet` shows which proxies have it"
	default:
		e.Message += "; whether the change was made is not known"
		e.Next = "`shadowctl history` shows it if it was"
	}
	return newStatus(code, policy.Errors{e}, changes)
}

func recorded(changes []*crossfadev1.Change) bool {
	for _, c := range changes {
		if c.GetRecorded() {
			return true
		}
	}
	return false
}

const (
	maxDetailBytes = 48 << 10 // of problems, and of changes: details travel in a header, which clients bound
	maxStatusBytes = 1 << 10  // of the message, which repeats the first problem
)

// newStatus makes a status of problems and of the changes that stand. What does not fit is counted.
func newStatus(code codes.Code, problems policy.Errors, changes []*crossfadev1.Change) error {
	message := clip(problems[0].Error(), maxStatusBytes)
	if more := len(problems) - 1; more > 0 {
		message += fmt.Sprintf(" (and %d more)", more)
	}
	details := make([]protoadapt.MessageV1, 0, len(problems)+len(changes))
	size := 0
	for i, e := range problems {
		d := detailOf(e)
		if size += proto.Size(d); size > maxDetailBytes && i > 0 {
			details = append(details, &crossfadev1.ErrorDetail{
				Code: "more_problems", Message: fmt.Sprintf("%d more problems do not fit into one answer", len(problems)-i), Next: "correct these and try again",
			})
			break
		}
		details = append(details, d)
	}
	size = 0
	for _, c := range changes {
		if size += proto.Size(c); size > maxDetailBytes {
			break
		}
		if _, err := proto.Marshal(c); err == nil { // else a text in it is not UTF-8: the rest of the answer is worth more
			details = append(details, c)
		}
	}
	s, err := status.New(code, message).WithDetails(details...)
	if err != nil { // only for OK
		panic(err)
	}
	return s.Err()
}

// detailOf is a problem in the form of the contract.
func detailOf(e *policy.Error) *crossfadev1.ErrorDetail {
	return &crossfadev1.ErrorDetail{
		Code: cmp.Or(e.Code, string(e.Kind)), Field: clip(e.Field, maxStatusBytes), Value: clip(e.Value, maxStatusBytes), Message: clip(e.Message, 4*maxStatusBytes), Next: clip(e.Next, maxStatusBytes),
		Document: int32(e.Document),
	}
}

// clip cuts a text to a number of bytes, at a character, and makes it valid UTF-8.
func clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func invalid(code, field, value, message, next string) *policy.Error {
	return &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: clip(value, 100), Message: message, Next: next}
}
