package policy

import (
	"fmt"
	"strconv"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func (p *problems) pins(docs []*crossfadev1.Pin, origins []string) []Pin {
	if p.count("pins", len(docs), MaxPins, "pins") {
		return nil
	}
	first := map[string]int{}
	var out []Pin
	for i, d := range docs {
		field := at("pins", i)
		p.checkName(field+".name", d.GetName(), "the pin")
		if j, seen := first[d.GetName()]; seen && d.GetName() != "" {
			p.add(field+".name", "name_duplicate", d.GetName(), fmt.Sprintf("is the name of pins[%d] as well", j), "give each pin a name of its own")
		} else {
			first[d.GetName()] = i
		}
		out = append(out, p.pin(field, d, origins))
	}
	return out
}

func (p *problems) pin(field string, d *crossfadev1.Pin, origins []string) Pin {
	if d.GetOrigin() == "" {
		p.add(field+".origin", "origin_missing", "", "the origin that the pin sends to is needed", knownOrigins(origins))
	} else {
		p.knownOrigin(field+".origin", d.GetOrigin(), origins)
	}
	return Pin{Name: d.GetName(), Origin: d.GetOrigin(), Enabled: pinEnabled(d), Match: p.match(field, d)}
}

// pinEnabled applies the default: a pin is on unless it says otherwise.
func pinEnabled(d *crossfadev1.Pin) bool { return d.GetEnabled() || d != nil && d.Enabled == nil }

func (p *problems) match(field string, d *crossfadev1.Pin) Match {
	switch m := d.GetMatch().(type) {
	case *crossfadev1.Pin_Header:
		name := p.checkHeader(field+".header.name", m.Header.GetName())
		return p.valueMatch(field+".header", OnHeader, name, m.Header)
	case *crossfadev1.Pin_Cookie:
		p.checkCookie(field+".cookie.name", m.Cookie.GetName())
		return p.valueMatch(field+".cookie", OnCookie, m.Cookie.GetName(), m.Cookie)
	case *crossfadev1.Pin_Query:
		p.checkParameter(field+".query.name", m.Query.GetName())
		return p.valueMatch(field+".query", OnQuery, m.Query.GetName(), m.Query)
	}
	p.add(field, "pin_match", "", "it is not said which requests it takes: exactly one of header, cookie, query is needed", `write for example header: {name: x-beta, exact: "1"}`)
	return Match{}
}

// checkParameter holds the name of a query parameter against the rules. It is compared as it stands in the URL.
func (p *problems) checkParameter(field, name string) {
	switch {
	case name == "":
		p.add(field, "query_missing", "", "the name of a query parameter is needed", "")
	case len(name) > MaxValueBytes:
		p.add(field, "too_long", name, fmt.Sprintf("has %d bytes; at most %d are allowed", len(name), MaxValueBytes), "")
	case !isQueryPart(name) || strings.Contains(name, "="):
		p.add(field, "query_invalid", name, "is not a parameter name as it stands in a URL: no spaces and none of ?#&= are allowed, other bytes percent-encoded", "")
	}
}

// isQueryPart tells whether s can stand in a query string as one name or value, undecoded.
func isQueryPart(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '&' {
			return false
		}
	}
	return true
}

func (p *problems) valueMatch(field string, on MatchOn, name string, d *crossfadev1.ValueMatch) Match {
	m := Match{On: on, Name: name}
	switch c := d.GetCondition().(type) {
	case *crossfadev1.ValueMatch_Exact:
		m.Condition, m.Value = Exact, c.Exact
		p.literal(field+".exact", on, c.Exact)
	case *crossfadev1.ValueMatch_Prefix:
		m.Condition, m.Value = Prefix, c.Prefix
		if c.Prefix == "" {
			p.add(field+".prefix", "prefix_empty", "", "every value begins with an empty prefix", "write present: true")
		}
		p.literal(field+".prefix", on, c.Prefix)
	case *crossfadev1.ValueMatch_Regex:
		m.Condition, m.Value = Regex, c.Regex
		m.regex = p.regex(field+".regex", c.Regex)
	case *crossfadev1.ValueMatch_Present:
		m.Condition, m.Value = Present, strconv.FormatBool(c.Present)
	default:
		p.add(field, "pin_condition", "", "it is not said which values count: exactly one of exact, prefix, regex, present is needed", "write present: true for any value")
	}
	return m
}

// literal refuses values that no request can carry in that place, since such a pin would silently never match.
func (p *problems) literal(field string, on MatchOn, value string) {
	switch {
	case len(value) > MaxValueBytes:
		p.add(field, "too_long", value, fmt.Sprintf("has %d bytes; at most %d are allowed", len(value), MaxValueBytes), "")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		p.add(field, "value_invalid", value, "has a control character in it, which no request can carry", "")
	case on == OnHeader && strings.Trim(value, " \t") != value && (strings.TrimLeft(value, " \t") != value || strings.HasSuffix(field, "exact")):
		p.add(field, "value_space", value, "a header's value never begins or ends with a space", "remove the space")
	case on == OnCookie && strings.Contains(value, ";"):
		p.add(field, "value_invalid", value, `a cookie's value never holds ";"`, "")
	case on == OnQuery && !isQueryPart(value):
		p.add(field, "value_invalid", value, "is compared as it stands in the URL: no spaces and none of #& are allowed, other bytes percent-encoded", "for example %20 for a space")
	}
}
