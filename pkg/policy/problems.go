package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// problems collects what is wrong with a document, in the order of its fields.
type problems struct{ found Errors }

// add records that a field holds something that is not allowed. Message and next follow the rules of [Error].
func (p *problems) add(field, code, value, message, next string) {
	p.found = append(p.found, InvalidField(field, code, value, message, next))
}

// count refuses a list that is longer than max, and says whether it did. The list is then not looked into.
func (p *problems) count(field string, n, max int, what string) bool {
	if n <= max {
		return false
	}
	p.add(field, "too_many", fmt.Sprint(n), fmt.Sprintf("too many %s: at most %d are allowed", what, max), "")
	return true
}

// number returns n, or def for an absent (zero) n. It refuses what is outside min to max.
func (p *problems) number(field string, n int32, def, min, max int) int {
	switch {
	case n == 0:
		return def
	case int(n) < min || int(n) > max:
		p.add(field, "out_of_range", fmt.Sprint(n), fmt.Sprintf("must be %d to %d", min, max), fmt.Sprintf("leave it out for the default of %d", def))
	}
	return int(n)
}

// clip keeps values in errors readable.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// at is the path of an element of a list.
func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// and lists names for a sentence: `a, b and c`.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// oneOf lists values for a sentence: `"a", "b" or "c"`.
func oneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
