package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// regex compiles an expression that has to match the whole value. What it lets pass, RE2 in Envoy takes too and reads alike.
func (p *problems) regex(field, expression string) *regexp.Regexp {
	refuse := func(code, message, next string) *regexp.Regexp {
		p.add(field, code, expression, message, next)
		return nil
	}
	if expression == "" {
		return refuse("regex_empty", "an empty expression matches only an empty value", `write exact: "" if that is meant, or present: true for any value`)
	}
	if len(expression) > MaxRegexBytes {
		return refuse("regex_too_expensive", fmt.Sprintf("has %d bytes; at most %d are allowed", len(expression), MaxRegexBytes), "match a shorter value, or a prefix")
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return refuse("regex_invalid", "is not an RE2 expression: "+regexFault(err), regexHint(err))
	}
	if !isASCII(expression) {
		return refuse("regex_unsupported", "has letters outside ASCII, or Unicode classes (\\p): versions of Envoy read them differently", "write the expression in ASCII; . and negated classes still match other bytes")
	}
	if size, err := RegexProgramSize(expression); err != nil || size > MaxRegexProgram {
		return refuse("regex_too_expensive", fmt.Sprintf("makes a program of about %d steps; a proxy takes at most %d", size, MaxRegexProgram), `shorten it, or match a prefix: a counted repetition like {8} is written out 8 times, and "." or a negated class costs about 8`)
	}
	re.Longest()
	return re
}

// matchesWhole tells whether all of value matches. Envoy reads bytes outside ASCII as UTF-8, where what is not UTF-8 matches nothing,
// or each as a letter of its own, depending on its version.
func matchesWhole(re *regexp.Regexp, value string, dialect Dialect) bool {
	if !dialect.UTF8 {
		value = latin1(value)
	}
	span := re.FindStringIndex(value) // leftmost, then longest: if the whole value matches, this is it
	return span != nil && span[0] == 0 && span[1] == len(value) && utf8.ValidString(value)
}

// latin1 makes each byte a letter.
func latin1(value string) string {
	runes := make([]rune, len(value))
	for i := range len(value) {
		runes[i] = rune(value[i])
	}
	return string(runes)
}

// regexFault gives the reason of a failed compilation in few words.
func regexFault(err error) string {
	var fault *syntax.Error
	if errors.As(err, &fault) {
		return fmt.Sprintf("%s at %q", fault.Code, clip(fault.Expr))
	}
	return err.Error()
}

// regexHint names what people miss in RE2.
func regexHint(err error) string {
	var fault *syntax.Error
	if !errors.As(err, &fault) {
		return ""
	}
	switch fault.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape:
		return "look-around and back-references do not exist in RE2"
	case syntax.ErrInvalidRepeatSize:
		return "at most 1000 repetitions can be written"
	}
	return ""
}
