package policy

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// What follows is for packages that read documents of their own kind and have to say the same of the same mistakes.

// InvalidField is an error about a field of a document. A long value is shortened.
func InvalidField(field, code, value, message, next string) *Error {
	return &Error{Kind: Invalid, Code: code, Field: field, Value: clip(value), Message: message, Next: next}
}

// CheckHeader holds apiVersion and kind of a document against what they have to be.
func CheckHeader(apiVersion, kind, wanted string) Errors {
	var p problems
	p.header(apiVersion, kind, wanted)
	return p.found
}

// CheckName holds a name against the rule for names; what says whose name it is.
func CheckName(field, name, what string) Errors {
	var p problems
	p.checkName(field, name, what)
	return p.found
}

// ReadDuration returns a duration of a document, in whole milliseconds and at most [MaxDuration]; def where it is absent, or wrong.
func ReadDuration(field string, d *durationpb.Duration, def, least time.Duration) (time.Duration, Errors) {
	var p problems
	v := p.duration(field, d, durationRule{def: def, min: least})
	return v, p.found
}
