package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// exitCode is what the process ends with. Scripts rely on the numbers.
type exitCode int

const (
	exitOK          exitCode = 0
	exitInternal    exitCode = 1
	exitInvalid     exitCode = 2
	exitConflict    exitCode = 3
	exitNotFound    exitCode = 4
	exitUnavailable exitCode = 5
	exitRefused     exitCode = 6
	exitTimedOut    exitCode = 7
	exitVerdict     exitCode = 8 // Fail
	exitHeld        exitCode = 9 // or Inconclusive
	exitDenied      exitCode = 10
	exitNotRecorded exitCode = 11
)

// failure is why a command failed: an exit code and one or more problems. Without problems, the result said it already.
type failure struct {
	exit     exitCode
	problems []problem
	changes  []*crossfadev1.Change // what became of the changes all the same, where the server says so
	done     string                // as in [app.showChange]
}

// problem is one thing that is wrong, with the keys of the JSON form.
type problem struct {
	code, field, value, message, next string
	file                              string // of the document to blame
	line, column                      int
}

// Error gives the sentences for people, a line each.
func (f *failure) Error() string {
	lines := make([]string, len(f.problems))
	for i, p := range f.problems {
		lines[i] = p.sentence()
	}
	return strings.Join(lines, "\n")
}

func (p problem) sentence() string {
	e := manifest.Error{File: p.file, Line: p.line, Column: p.column, Err: &policy.Error{Field: p.field, Value: p.value, Message: p.message}}
	return e.Error()
}

// usage is a mistake on the command line.
func usage(code, format string, args ...any) *failure {
	return &failure{exit: exitInvalid, problems: []problem{{code: code, message: fmt.Sprintf(format, args...)}}}
}

func usageOf(cmd *cobra.Command, format string, args ...any) *failure {
	f := usage("usage", format, args...)
	f.problems[0].next = "usage: " + cmd.UseLine()
	return f
}

func badValue(code, field, value, message string) *failure {
	return &failure{exit: exitInvalid, problems: []problem{{code: code, field: field, value: value, message: message}}}
}

func badFlag(flag, value, message string) *failure {
	return badValue("bad_flag", "--"+flag, value, message)
}

// exitOf gives the exit code of each kind of error.
var exitOf = map[policy.Kind]exitCode{
	policy.Invalid: exitInvalid, policy.Conflict: exitConflict, policy.NotFound: exitNotFound, policy.Unavailable: exitUnavailable,
	policy.Refused: exitRefused, policy.TimedOut: exitTimedOut, policy.Held: exitHeld, policy.Denied: exitDenied, policy.Internal: exitInternal,
}

// failureOf turns any error into a failure.
func (a *app) failureOf(err error) *failure {
	var (
		f  *failure
		me *manifest.Error
		ms manifest.Errors
		pe *policy.Error
		ps policy.Errors
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &ms):
		return a.failureOfAll(ms)
	case errors.As(err, &me):
		return a.failureOfAll(manifest.Errors{me})
	case errors.As(err, &ps):
		return a.failureOfAll(a.locate(ps))
	case errors.As(err, &pe):
		return a.failureOfAll(a.locate(policy.Errors{pe}))
	default:
		return a.failureOfCall(err)
	}
}

func (a *app) failureOfAll(errs manifest.Errors) *failure {
	f := &failure{exit: exitInternal}
	for _, e := range errs {
		f.problems = append(f.problems, problem{
			code: e.Err.Code, field: e.Err.Field, value: e.Err.Value, message: e.Err.Message, next: e.Err.Next,
			file: e.File, line: e.Line, column: e.Column,
		})
	}
	if code, ok := exitOf[errs[0].Err.Kind]; ok {
		f.exit = code
	}
	return f
}

// locate gives errors about documents their lines.
func (a *app) locate(errs policy.Errors) manifest.Errors {
	var out manifest.Errors
	for _, e := range errs {
		if e.Document >= 0 && e.Document < len(a.docs) {
			out = append(out, a.docs[e.Document].Locate(e))
		} else {
			out = append(out, &manifest.Error{Err: e})
		}
	}
	return out
}

// fail reports an error on standard error, in the form asked for, and gives its exit code.
func (a *app) fail(err error) exitCode {
	var f *failure
	if !errors.As(err, &f) {
		f = usage("usage", "%s", err) // cobra's own
	}
	if len(f.problems) == 0 {
		return f.exit
	}
	if a.output == "json" {
		fmt.Fprintln(a.err, string(manifest.JSON(f.tree())))
		return f.exit
	}
	for _, c := range f.changes {
		a.sayChange(c, f.done)
	}
	next := ""
	for _, p := range f.problems {
		if next != "" && next != p.next {
			fmt.Fprintln(a.err, next)
		}
		fmt.Fprintln(a.err, "error: "+p.sentence())
		next = p.next
	}
	if next != "" {
		fmt.Fprintln(a.err, next)
	}
	return f.exit
}

// tree is the JSON form: {"error":{…}}, with the changes that are known in "error", and every problem in "errors" where there are
// several.
func (f *failure) tree() *yaml.Node {
	out := manifest.Map()
	first := f.problems[0].tree()
	if len(f.changes) > 0 {
		manifest.Put(first, "changes", answers(f.changes))
	}
	manifest.Put(out, "error", first)
	if len(f.problems) > 1 {
		all := manifest.List()
		for _, p := range f.problems {
			all.Content = append(all.Content, p.tree())
		}
		manifest.Put(out, "errors", all)
	}
	return out
}

func (p problem) tree() *yaml.Node {
	out := manifest.Map()
	for _, m := range []struct{ key, value string }{{"code", p.code}, {"field", p.field}, {"value", p.value}, {"message", p.message}, {"next", p.next}} {
		manifest.Put(out, m.key, manifest.Str(m.value))
	}
	if p.file != "" {
		manifest.Put(out, "file", manifest.Str(p.file))
	}
	if p.line > 0 {
		manifest.Put(out, "line", manifest.Int(p.line))
	}
	return out
}

// policyError reads the detail of a server's error.
func policyError(d *crossfadev1.ErrorDetail) *policy.Error {
	return &policy.Error{Code: d.GetCode(), Field: d.GetField(), Value: d.GetValue(), Message: d.GetMessage(), Next: d.GetNext(), Document: int(d.GetDocument())}
}
