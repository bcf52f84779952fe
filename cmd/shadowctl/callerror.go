package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// startServer is the command that starts a server to try things with.
const startServer = "xds-server --dev --data-dir ./crossfade-data"

// refusedByProxy is the code of a FailedPrecondition that came from a proxy; others are changes held back.
const refusedByProxy = "refused_by_proxy"

// exitOfStatus gives the exit code of each status; FailedPrecondition is decided by its code.
var exitOfStatus = map[codes.Code]exitCode{
	codes.InvalidArgument: exitInvalid, codes.AlreadyExists: exitInvalid, codes.OutOfRange: exitInvalid, codes.ResourceExhausted: exitInvalid,
	codes.Aborted: exitConflict, codes.NotFound: exitNotFound, codes.Unavailable: exitUnavailable,
	codes.DeadlineExceeded: exitTimedOut, codes.Canceled: exitTimedOut, codes.FailedPrecondition: exitHeld,
	codes.PermissionDenied: exitDenied, codes.Unauthenticated: exitDenied,
}

// failureOfCall reads the status of a call that failed. Anything that is no status is an error of ours.
func (a *app) failureOfCall(err error) *failure {
	s, ok := status.FromError(err)
	if !ok {
		return &failure{exit: exitInternal, problems: []problem{{code: "internal", message: err.Error()}}}
	}
	f := &failure{exit: exitInternal}
	if exit, ok := exitOfStatus[s.Code()]; ok {
		f.exit = exit
	}
	var details policy.Errors
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *crossfadev1.ErrorDetail:
			details = append(details, policyError(d))
			if d.GetCode() == refusedByProxy {
				f.exit = exitRefused
			}
		case *crossfadev1.Change:
			f.changes = append(f.changes, d)
		}
	}
	if p, exit, ok := a.tlsProblem(s); ok && len(details) == 0 {
		f.exit, f.problems = exit, []problem{p}
		return f
	}
	if len(details) == 0 {
		f.problems = []problem{a.bareStatus(s)}
		return f
	}
	f.problems = a.failureOfAll(a.locate(details)).problems
	if slices.ContainsFunc(f.changes, notRecorded) {
		f.exit = exitNotRecorded
		f.problems = append(f.problems, problem{
			code: "not_recorded", message: "the rollback is live, and not recorded yet",
			next: "leave the server running and make room for its store: it goes on trying, and `shadowctl history` shows when it has it",
		})
	}
	return f
}

// howToStart is what to do where no server answers. One that speaks TLS was there before: another data directory in its place would take services from
// proxies.
func (a *app) howToStart() string {
	if a.tls().any() {
		return "if it is down, start it again where it was, with the same --data-dir\nor name another with --server or CROSSFADE_SERVER"
	}
	return "name your server with --server or CROSSFADE_SERVER; to try things, start one:\n  " + startServer
}

// failureAfter says, with the changes that come with an error, what was done.
func (a *app) failureAfter(err error, done string) *failure {
	f := a.failureOf(err)
	f.done = done
	return f
}

// bareStatus puts a status without detail, which comes from gRPC and not from our server, into words.
func (a *app) bareStatus(s *status.Status) problem {
	switch s.Code() {
	case codes.Unavailable:
		return problem{
			code: "unreachable", value: a.address(), message: "no server answers there: " + cause(s.Message()),
			next: a.howToStart(),
		}
	case codes.DeadlineExceeded:
		return problem{code: "timeout", message: fmt.Sprintf("no answer from %s within %s", a.address(), a.timeout), next: "try a longer --timeout"}
	case codes.Canceled:
		return problem{code: "interrupted", message: "interrupted"}
	case codes.Unimplemented:
		return problem{code: "unimplemented", message: "the server does not know this call", next: "compare versions: shadowctl version"}
	default:
		return problem{code: "call_failed", message: fmt.Sprintf("%s: %s", s.Code(), s.Message())}
	}
}

// cause is the end of a transport's message, where it says what happened.
func cause(message string) string {
	if _, after, ok := strings.Cut(message, dialing+": "); ok {
		message = after
	}
	return strings.TrimSuffix(message, `"`)
}

// failureOfWrite adds to an error what is known of the change: a wait that ends early does not undo it.
func (a *app) failureOfWrite(ctx context.Context, err error, service string) *failure {
	f := a.failureOf(err)
	history := "`shadowctl history`"
	if service != "" {
		history = "`shadowctl history " + service + "`"
	}
	s, _ := status.FromError(err)
	bare := len(s.Details()) == 0
	switch p := &f.problems[0]; {
	case ctx.Err() != nil:
		f.exit = exitTimedOut
		*p = problem{code: "interrupted", message: "stopped waiting; the change stands if the server has it", next: history + " shows whether it has"}
	case bare && s.Code() == codes.DeadlineExceeded:
		p.message += "; the change stands if the server has it"
		p.next = history + " shows whether it has"
	case bare && s.Code() == codes.Unavailable && !neverSent(err):
		p.message += "; whether the change was made is not known"
		p.next += "\nthen " + history + " shows whether it was made"
	}
	return f
}
