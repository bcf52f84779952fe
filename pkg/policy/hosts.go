package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// hosts returns the host names in the form that is compared: lower case, no trailing dot, sorted.
func (p *problems) hosts(written []string) []string {
	if len(written) == 0 {
		p.add("hosts", "hosts_missing", "", "at least one host name is needed", `write the names that clients use, for example ["orders.example.com"], or ["*"] for any`)
	}
	if p.count("hosts", len(written), MaxHosts, "host names") {
		return nil
	}
	first := map[string]int{}
	var out []string
	for i, h := range written {
		host, wrong := canonicalHost(h)
		if wrong != nil {
			p.add(at("hosts", i), wrong.Code, h, wrong.Message, wrong.Next)
			continue
		}
		if j, seen := first[host]; seen {
			p.add(at("hosts", i), "host_duplicate", h, fmt.Sprintf("is the same name as hosts[%d]; case and a trailing dot make no difference", j), "remove one of them")
			continue
		}
		first[host] = i
		out = append(out, host)
	}
	slices.Sort(out)
	return out
}

// canonicalHost returns one host name in the form that is compared, or what is wrong with it.
func canonicalHost(h string) (string, *Error) {
	wrong := func(code, message, next string) (string, *Error) {
		return "", &Error{Code: code, Message: message, Next: next}
	}
	switch {
	case h == "":
		return wrong("host_missing", "a host name cannot be empty", `write "*" for any host`)
	case h == "*":
		return h, nil
	case strings.Contains(h, "://"):
		return wrong("host_url", "is a URL; only a host name is allowed", hostOnly(h))
	case strings.ContainsAny(h, "/?#"):
		return wrong("host_path", "has a path; only a host name is allowed", "put the path into pathPrefixes")
	case strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return wrong("host_invalid", "has a space or control character in it", "")
	case strings.ContainsFunc(h, func(r rune) bool { return r > 0x7f }):
		return wrong("host_not_ascii", "has letters outside ASCII, which never appear in a Host header", "write it in punycode (xn--…)")
	case strings.Contains(h, "@"):
		return wrong("host_invalid", "has user information in it; only a host name is allowed", "")
	}
	if ip, ok := hostIP(h); ok {
		return ip, nil
	}
	if strings.Contains(h, "%") {
		return wrong("host_invalid", "an address with a zone is not allowed", "")
	}
	if strings.Contains(h, ":") {
		return wrong("host_port", "has a port; only a host name is allowed", "remove it: any port in a request's Host is ignored, and the port to listen on is listener.port")
	}
	host := strings.ToLower(strings.TrimSuffix(h, "."))
	name, wildcard := strings.CutPrefix(host, "*.")
	if strings.Contains(name, "*") {
		return wrong("host_wildcard", `a wildcard is allowed only as the whole first label ("*.example.com") or alone ("*")`, "")
	}
	if message := labelsWrong(name); message != "" {
		return wrong("host_invalid", message, "")
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; isDigits(last) {
		if wildcard {
			return wrong("host_invalid", "a wildcard cannot stand before an IP address", "")
		}
		return wrong("host_invalid", "ends in a number and is not an IP address", "")
	}
	return host, nil
}

// labelsWrong says what is wrong with a name of labels; empty if nothing is.
func labelsWrong(name string) string {
	if len(name) > 253 {
		return fmt.Sprintf("has %d characters; at most 253 are allowed", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "has an empty part between its dots"
		case len(label) > 63:
			return fmt.Sprintf("has a part of %d characters; at most 63 are allowed between two dots", len(label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return "no part of it may begin or end with a dash"
		case label == "xn--":
			return `"xn--" must be followed by the encoded name`
		case strings.ContainsFunc(label, func(r rune) bool { return r != '-' && r != '_' && !isLowerAlnum(byte(r)) }):
			return "only letters, digits, dashes, underscores and dots are allowed"
		}
	}
	return ""
}

// hostIP recognises an IP address, IPv6 with or without brackets, and returns it as a Host header has it.
func hostIP(h string) (string, bool) {
	inner := unbracket(h)
	ip, err := netip.ParseAddr(inner)
	switch {
	case err != nil || ip.Zone() != "":
		return "", false
	case ip.Is6():
		return "[" + ip.String() + "]", true
	}
	return ip.String(), inner == h
}

// unbracket removes the brackets around an IPv6 address.
func unbracket(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s[1 : len(s)-1]
	}
	return s
}

// hostOnly suggests the host part of a URL.
func hostOnly(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	end := strings.IndexAny(rest, "/?#:")
	if end < 0 {
		end = len(rest)
	}
	if host, wrong := canonicalHost(rest[:end]); wrong == nil && host != "*" {
		return fmt.Sprintf("write %q", host)
	}
	return ""
}

func isDigits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil && s[0] != '+'
}
