package rule

import (
	"fmt"
	"strings"
)

// Pattern is a path of a document, compiled: "$" is the document, ".name" or "['any name']" a member of an object, ".*" any member,
// "[*]" any element of an array, and ".**" any number of steps down, none included.
type Pattern struct{ segments []segment }

// segment is one step of a pattern.
type segment struct {
	kind stepKind
	key  string // of a stepKey
}

type stepKind uint8

const (
	stepKey     stepKind = iota // the member of that name
	stepAnyKey                  // any member
	stepElement                 // any element
	stepAny                     // any steps
	stepEnd                     // behind the last segment
)

// patternError says what is wrong with a pattern: what, and what to do.
type patternError struct{ message, next string }

// parsePattern reads a pattern that begins with "$".
func parsePattern(text string) (Pattern, *patternError) {
	var p Pattern
	rest := strings.TrimPrefix(text, "$")
	for rest != "" {
		var s segment
		var err *patternError
		if s, rest, err = parseSegment(rest); err != nil {
			return p, err
		}
		if n := len(p.segments); s.kind == stepAny && n > 0 && p.segments[n-1].kind == stepAny {
			continue // ** twice is ** once
		}
		if p.segments = append(p.segments, s); len(p.segments) > MaxSegments {
			return p, &patternError{fmt.Sprintf("has more than %d steps", MaxSegments), "use .** for those in the middle"}
		}
	}
	return p, nil
}

func parseSegment(text string) (segment, string, *patternError) {
	switch {
	case strings.HasPrefix(text, "[*]"):
		return segment{kind: stepElement}, text[3:], nil
	case strings.HasPrefix(text, "['"):
		key, rest, ok := strings.Cut(text[2:], "']")
		if !ok {
			return segment{}, "", &patternError{"a name in brackets ends with ']", "write ['name']"}
		}
		return segment{kind: stepKey, key: key}, rest, nil
	case strings.HasPrefix(text, "["):
		return segment{}, "", &patternError{"an element is written [*]: rules are for all elements of an array", "write [*]"}
	case !strings.HasPrefix(text, "."):
		return segment{}, "", &patternError{"a step begins with . or [", "write $.name or $[*]"}
	}
	end := strings.IndexAny(text[1:], ".[")
	if end < 0 {
		end = len(text) - 1
	}
	key, rest := text[1:1+end], text[1+end:]
	switch {
	case key == "":
		return segment{}, "", &patternError{"has a step without a name", "write $.name, or $.** for any number of steps"}
	case key == "*":
		return segment{kind: stepAnyKey}, rest, nil
	case key == "**":
		return segment{kind: stepAny}, rest, nil
	case strings.Contains(key, "*"):
		return segment{}, "", &patternError{"* stands for a whole name", "write .* for any name"}
	}
	return segment{kind: stepKey, key: key}, rest, nil
}

// State is where in which patterns a walk of a document is. It is a value: to go back up is to use the one from before.
type State [maxPositions / 64]uint64

func (s *State) set(p int) { s[p/64] |= 1 << (p % 64) }

// Live says that some pattern may still match here or below.
func (s *State) Live() bool { return s[0]|s[1]|s[2]|s[3] != 0 }

// meets says that two have a position in common.
func (s *State) meets(o *State) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}
