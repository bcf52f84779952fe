package policy

import (
	"fmt"
	"slices"
	"strings"
)

// pathPrefixes returns the prefixes of a service. The default is "/".
func (p *problems) pathPrefixes(written []string) []string {
	if len(written) == 0 {
		return []string{"/"}
	}
	return p.prefixes("pathPrefixes", written, MaxPathPrefixes)
}

// prefixes returns path prefixes in the form that is compared: no trailing slash, sorted.
func (p *problems) prefixes(field string, written []string, most int) []string {
	if p.count(field, len(written), most, "path prefixes") {
		return nil
	}
	first := map[string]int{}
	var out []string
	for i, w := range written {
		if wrong := prefixWrong(w); wrong != nil {
			p.add(at(field, i), wrong.Code, w, wrong.Message, wrong.Next)
			continue
		}
		prefix := trimSlash(w)
		if j, seen := first[prefix]; seen {
			p.add(at(field, i), "prefix_duplicate", w, fmt.Sprintf("is the same prefix as %s; a trailing slash makes no difference", at(field, j)), "remove one of them")
			continue
		}
		first[prefix] = i
		out = append(out, prefix)
	}
	slices.Sort(out)
	return out
}

// trimSlash removes the trailing slash of a path, except of "/" itself.
func trimSlash(path string) string {
	if path == "/" {
		return path
	}
	return strings.TrimSuffix(path, "/")
}

// prefixWrong says what is wrong with a path prefix; nil if nothing is.
func prefixWrong(path string) *Error {
	wrong := func(code, message, next string) *Error { return &Error{Code: code, Message: message, Next: next} }
	switch {
	case !strings.HasPrefix(path, "/"):
		return wrong("prefix_slash", `a path prefix begins with "/"`, fmt.Sprintf("write %q", "/"+path))
	case len(path) > MaxPrefixBytes:
		return wrong("too_long", fmt.Sprintf("has %d bytes; at most %d are allowed", len(path), MaxPrefixBytes), "")
	case strings.ContainsAny(path, "?#"):
		return wrong("prefix_query", "a query or a fragment cannot be part of a path prefix", "leave it out: only pins look at the query")
	case strings.Contains(path, "*"):
		return wrong("prefix_wildcard", "wildcards are not allowed: a prefix takes everything below it by itself", fmt.Sprintf("write %q", trimSlash(path[:strings.IndexByte(path, '*')])))
	case strings.Contains(path, "//"):
		return wrong("prefix_segment", "has an empty segment (//)", "")
	case !isPath(path):
		return wrong("prefix_invalid", "only letters, digits, /-._~!$&'()+,;=:@ and percent-encoded bytes (%2F) are allowed", "percent-encode the others")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return wrong("prefix_segment", fmt.Sprintf("has a segment %q, which clients resolve before they send a request", segment), "write the resolved path")
		}
	}
	return nil
}

// isPath tells whether s has only bytes that RFC 3986 allows in a path.
func isPath(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlnum(c) || strings.IndexByte("/-._~!$&'()+,;=:@", c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return isLowerAlnum(c) || c >= 'A' && c <= 'Z' }

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
