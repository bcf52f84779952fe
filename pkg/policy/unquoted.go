package policy

import (
	"errors"
	"strings"
)

// maxUnquoted bounds of how many mistakes [Unquoted] speaks, maxField how much of the name of each field it repeats.
const maxUnquoted, maxField = 10, 100

// Unquoted is an error as logs and traces may have it. What is wrong with a request quotes the request, which may hold a token, for example where a
// pin asks for one: of that there are the codes and the fields.
func Unquoted(err error) string {
	var many Errors
	var one *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = Errors{one}
	default:
		return err.Error()
	}
	var out []string
	for _, e := range many[:min(len(many), maxUnquoted)] {
		if e.Kind == Invalid {
			out = append(out, strings.TrimSpace(e.Code+" "+strings.ToValidUTF8(e.Field[:min(len(e.Field), maxField)], "")))
		} else {
			out = append(out, e.Error())
		}
	}
	return strings.Join(out, "; ")
}
