package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// regex compiles an expression that has to match the whole value.
func (p *problems) regex(field, expression string) *regexp.Regexp {
	if expression == "" {
		p.add(field, "regex_empty", "", "an empty expression matches only an empty value", `write exact: "" if that is meant, or present: true for any value`)
		return nil
	}
	if len(expression) > MaxRegexBytes {
		p.add(field, "regex_too_expensive", expression, fmt.Sprintf("has %d bytes; at most %d are allowed", len(expression), MaxRegexBytes), "match a shorter value, or a prefix")
		return nil
	}
	if _, err := regexp.Compile(expression); err != nil {
		p.add(field, "regex_invalid", expression, "is not an RE2 expression: "+regexFault(err), "")
		return nil
	}
	return regexp.MustCompile(`\A(?:` + expression + `)\z`)
}

// regexFault gives the reason of a failed compilation in few words.
func regexFault(err error) string {
	var fault *syntax.Error
	if errors.As(err, &fault) {
		return fmt.Sprintf("%s at %q", fault.Code, clip(fault.Expr))
	}
	return err.Error()
}
