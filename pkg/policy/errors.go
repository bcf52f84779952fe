package policy

import (
	"fmt"
	"strings"
)

// Kind is the class of an error: it decides the gRPC status and the exit code of the CLI.
type Kind string

// The classes of errors.
const (
	Invalid     Kind = "invalid"     // bad input; exit 2
	Conflict    Kind = "conflict"    // another revision came first; exit 3
	NotFound    Kind = "not_found"   // exit 4
	Unavailable Kind = "unavailable" // the store or the server; exit 5
	Refused     Kind = "refused"     // by a proxy; exit 6
	TimedOut    Kind = "timed_out"   // the change stands; exit 7
	Held        Kind = "held"        // not now, needs a deliberate act; exit 9
	Denied      Kind = "denied"      // whoever asks may not; exit 10
	Internal    Kind = "internal"    // ours; exit 1
)

// Error says what is wrong with which field, what is allowed, and what to do next.
type Error struct {
	Kind     Kind   // class
	Code     string // for machines, for example "weights_sum"
	Field    string // path in the document, for example "origins[1].name"; empty where no field is to blame
	Value    string // what was given
	Message  string // what is wrong and what is allowed: one sentence, lower case, no full stop
	Next     string // what to do next: one sentence; may be empty
	Document int    // index in an apply, from 0
}

// Error gives the sentence for people.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "%q: ", e.Value)
	}
	b.WriteString(e.Message)
	if e.Next != "" {
		fmt.Fprintf(&b, "; %s", e.Next)
	}
	return b.String()
}

// Errors is everything wrong with some input, in the order of its fields. A nil Errors means none.
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

// Err returns es as an error, nil if there are none.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}
