package manifest

import (
	"fmt"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Error is something wrong at a place in a file.
type Error struct {
	File   string        // as given to Parse; empty: unknown
	Line   int           // from 1; 0: unknown
	Column int           // from 1; 0: unknown, or of no use
	Err    *policy.Error // what is wrong
}

// Error gives "FILE:LINE:COLUMN: FIELD: what is wrong; what to do".
func (e *Error) Error() string {
	if place := e.Place(); place != "" {
		return place + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

// Place gives "FILE:LINE:COLUMN", as far as it is known.
func (e *Error) Place() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Line > 0 && e.Column > 0 {
		fmt.Fprintf(&b, ":%d", e.Column)
	}
	return b.String()
}

// Unwrap gives the policy error.
func (e *Error) Unwrap() error { return e.Err }

// Errors is everything wrong with some files, in the order of their lines.
type Errors []*Error

// Error joins the sentences, a line each.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.As find the parts.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}
