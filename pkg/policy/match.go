package policy

import (
	"strings"
	"unicode/utf8"
)

// Dialect is what differs between the versions of Envoy that Crossfade supports. The zero value is the newest.
type Dialect struct {
	JoinsRepeated bool // before 1.39 the values of a repeated header were joined by "," and then compared; since then each is
	UTF8          bool // before 1.40 expressions read bytes outside ASCII as UTF-8; since then each is a letter of its own
}

// DialectOf returns the dialect of Envoy 1.minor.
func DialectOf(minor int) Dialect { return Dialect{JoinsRepeated: minor < 39, UTF8: minor < 40} }

// Matches tells whether a request is one that m wants.
func (m *Match) Matches(r *Request, dialect Dialect) bool {
	var values []string
	switch m.On {
	case OnHeader:
		values = r.header(m.Name)
		if dialect.JoinsRepeated && len(values) > 1 {
			values = []string{strings.Join(values, ",")}
		}
	case OnCookie:
		values = m.cookieValues(r, dialect)
	case OnQuery:
		if v, ok := r.parameter(m.Name); ok {
			values = []string{v}
		}
	}
	if m.Condition == Present {
		return (len(values) > 0) == (m.Value == "true")
	}
	for _, v := range values {
		if m.matchesValue(v, dialect) {
			return true
		}
	}
	return false
}

// cookieValues returns the value of the cookie. Presence is tested with an expression, which sees only what it can read.
func (m *Match) cookieValues(r *Request, dialect Dialect) []string {
	v, ok := r.cookie(m.Name)
	if !ok || m.Condition == Present && dialect.UTF8 && !utf8.ValidString(v) {
		return nil
	}
	return []string{v}
}

func (m *Match) matchesValue(v string, dialect Dialect) bool {
	switch m.Condition {
	case Exact:
		return v == m.Value
	case Prefix:
		return strings.HasPrefix(v, m.Value)
	case Regex:
		return matchesWhole(m.regex, v, dialect)
	}
	return false
}
