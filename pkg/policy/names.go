package policy

import (
	"fmt"
	"strings"
)

// checkName holds a name against the rule for names: they become parts of cluster names and runtime keys.
func (p *problems) checkName(field, name, what string) {
	switch {
	case name == "":
		p.add(field, "name_missing", "", "a name is needed for "+what, "choose one of lower-case letters, digits and dashes")
	case len(name) > MaxNameBytes:
		p.add(field, "name_too_long", name, fmt.Sprintf("has %d characters; at most %d are allowed", len(name), MaxNameBytes), "")
	case !ValidName(name):
		p.add(field, "name_invalid", name, "only lower-case letters, digits and dashes are allowed, with a letter or digit at both ends", suggestName(name))
	}
}

// ValidName tells whether a name is allowed for a service, fleet, origin or pin.
func ValidName(name string) bool {
	if name == "" || len(name) > MaxNameBytes || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '-' && !isLowerAlnum(c) {
			return false
		}
	}
	return true
}

// suggestName offers the nearest allowed name, if there is an obvious one.
func suggestName(name string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case r < 0x80 && isLowerAlnum(byte(r)):
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		default:
			return '-'
		}
	}, name)
	if mapped = strings.Trim(mapped, "-"); !ValidName(mapped) {
		return ""
	}
	return fmt.Sprintf("for example %q", mapped)
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// isToken tells whether s is a token of RFC 9110: what header and cookie names are made of.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// Headers that a rule cannot look at, because the proxy itself consumes, writes or strips them before it chooses a route.
var reservedHeaders = map[string]string{
	"host":                    "hosts choose the service",
	"cookie":                  "it holds all cookies at once",
	"connection":              "it concerns one connection only",
	"keep-alive":              "it concerns one connection only",
	"proxy-connection":        "it concerns one connection only",
	"transfer-encoding":       "it concerns one connection only",
	"content-length":          "it describes the body",
	"te":                      "it concerns one connection only",
	"trailer":                 "it concerns one connection only",
	"upgrade":                 "it concerns one connection only",
	"expect":                  "the proxy answers it",
	"x-shadow":                "it marks copies of requests",
	"x-request-id":            "the proxy may write it",
	"x-forwarded-for":         "the proxy may write it",
	"x-forwarded-proto":       "the proxy may write it",
	"x-forwarded-port":        "the proxy may write it",
	"x-forwarded-client-cert": "the proxy may write it",
	"http2-settings":          "it concerns one connection only",
}

var reservedPrefixes = map[string]string{
	"x-envoy-": "Envoy keeps names that begin with x-envoy- to itself",
	"x-cf-":    "Crossfade keeps names that begin with x-cf- to itself",
}

// checkHeader returns the header name in lower case, after holding it against the rules.
func (p *problems) checkHeader(field, name string) string {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		p.add(field, "header_missing", "", "the name of a header is needed", "")
	case strings.HasPrefix(name, ":"):
		p.add(field, "header_reserved", name, "pseudo-headers, whose names begin with a colon, are not headers that a client sends", "name an ordinary header")
	case len(name) > MaxValueBytes:
		p.add(field, "too_long", name, fmt.Sprintf("has %d bytes; at most %d are allowed", len(name), MaxValueBytes), "")
	case !isToken(name):
		p.add(field, "header_invalid", name, "is not a header name: letters, digits and !#$%&'*+-.^_`|~ are allowed", "")
	default:
		if why := reservedHeader(lower); why != "" {
			p.add(field, "header_reserved", name, "this header cannot be used here: "+why, reservedNext(lower))
		}
	}
	return lower
}

// reservedNext says what to use in place of a reserved header.
func reservedNext(lower string) string {
	switch lower {
	case "host":
		return "list the name under hosts"
	case "cookie":
		return "write cookie instead of header, with the name of the cookie"
	case "x-forwarded-for":
		return "to recognise users by their address, write sticky: {clientAddress: {}}"
	}
	return "name a header of your own, for example x-beta"
}

// reservedHeader says why a header (in lower case) is reserved; empty if it is not.
func reservedHeader(lower string) string {
	if why, ok := reservedHeaders[lower]; ok {
		return why
	}
	for prefix, why := range reservedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return why
		}
	}
	return ""
}
