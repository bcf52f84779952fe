// Package rule says which differences between two answers are meant: what to leave out, what to tolerate, and what must be equal whatever
// the noise. Rules name places in an answer by patterns ([Pattern]); they are compiled once and then matched while an answer is walked.
//
// Of the rules that match a place the one that matches deepest decides, and of those the last. What is decided for a place holds for all
// below it, until a rule there decides otherwise.
package rule

import (
	"regexp"
	"time"
)

// Action is what a rule does with a difference.
type Action string

// The actions of rules.
const (
	Ignore    Action = "ignore"    // it is no difference
	Tolerate  Action = "tolerate"  // it is none if both values are close, or of one pattern
	Set       Action = "set"       // the order of an array does not count
	Map       Action = "map"       // the keys of an object are values: they are compared, and never shown
	MustEqual Action = "mustEqual" // a single one is a finding, however noisy the place is
)

// Rule is a rule as a user writes it.
type Rule struct {
	// Endpoint is the template of the endpoints that it is for; empty for all. The names of placeholders do not count.
	Endpoint string
	// Path is where in an answer: "$.items[*].price", "$.**.updated", "header:NAME", "trailer:NAME", "status" or "body" (text only).
	// Fields of protobuf are named as in the .proto file, unknown ones "#7".
	Path   string
	Action Action
	// Abs and Rel, for Tolerate: by how much numbers may differ, absolutely or as a share of the larger one. Either suffices.
	Abs, Rel float64
	// Window, for Tolerate: by how much times may differ: RFC 3339, or seconds or milliseconds since 1970.
	Window time.Duration
	// Pattern, for Tolerate: both values match it as a whole: an RE2 expression, or one of "uuid", "time", "hex", "number", "id". In text,
	// whatever matches is left out.
	Pattern string
	// Key, for Set: elements are the same if this member of theirs is.
	Key string
}

// Bounds of a set of rules.
const (
	MaxRules      = 128
	MaxEndpoints  = 64 // templates that rules name
	MaxPathBytes  = 512
	MaxSegments   = 24  // of one path
	maxPositions  = 256 // of all paths that one endpoint is walked with: a segment each, and one for each rule
	MaxExpression = 512 // bytes
)

// Compiled is a rule that is ready for use. It is never changed.
type Compiled struct {
	Rule
	pattern *regexp.Regexp
	nth     int // in the order of the rules
}

// named are the patterns that have a name.
var named = map[string]string{
	"uuid":   `[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`,
	"time":   `\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?|\d{10}(\.\d{1,9})?|\d{13}`,
	"hex":    `[0-9a-fA-F]+`,
	"number": `-?\d+(\.\d+)?([eE][+-]?\d+)?`,
	"id":     `[0-9A-Za-z_.:-]*\d[0-9A-Za-z_.:-]*`,
}

// Tolerates says whether the rule lets two values pass that are not equal. Number says that both are JSON numbers.
func (c *Compiled) Tolerates(a, b []byte, number bool) bool {
	if c == nil || c.Action != Tolerate {
		return false
	}
	switch {
	case c.pattern != nil && c.pattern.Match(a) && c.pattern.Match(b):
		return true
	case number && (c.Abs > 0 || c.Rel > 0) && closeNumbers(string(a), string(b), c.Abs, c.Rel):
		return true
	case c.Window > 0:
		return closeTimes(string(a), string(b), c.Window)
	}
	return false
}

// Mask returns the parts of a text that the rule's pattern leaves, one after the other.
func (c *Compiled) Mask(dst, text []byte) []byte {
	last := 0
	for _, at := range c.pattern.FindAllIndex(text, -1) {
		dst = append(append(dst, text[last:at[0]]...), 0)
		last = at[1]
	}
	return append(dst, text[last:]...)
}

// Masks says that the rule is one for [Compiled.Mask].
func (c *Compiled) Masks() bool { return c != nil && c.Action == Tolerate && c.pattern != nil }
