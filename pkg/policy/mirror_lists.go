package policy

import (
	"fmt"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// readMethods are those that change nothing, by RFC 9110. They are the default.
func readMethods() []string { return []string{"GET", "HEAD", "OPTIONS"} }

// writeMethods are those that need consent.
func writeMethods() []string { return []string{"DELETE", "PATCH", "POST", "PUT"} }

// mirrorMethods returns the methods that are copied. If gRPC methods are named and no others, there are none.
func (p *problems) mirrorMethods(doc *crossfadev1.Mirror) []string {
	written := doc.GetMethods()
	if len(written) == 0 && len(doc.GetGrpcMethods()) > 0 {
		return nil
	}
	if len(written) == 0 {
		return readMethods()
	}
	known := slices.Concat(readMethods(), writeMethods())
	if p.count("methods", len(written), len(known), "methods") {
		return nil
	}
	for i, m := range written {
		field := at("methods", i)
		switch {
		case m == "CONNECT" || m == "TRACE":
			p.add(field, "method_never", m, "is never copied: it is for the proxy, not for the origin", "remove it")
		case !slices.Contains(known, m):
			p.add(field, "method_unknown", m, "must be "+oneOf(known), methodHint(m, known))
		case slices.Index(written, m) < i:
			p.add(field, "method_duplicate", m, "is listed twice", "remove one of them")
		case slices.Contains(writeMethods(), m) && !doc.GetAllowWrites():
			p.add(field, "writes_without_consent", m, "changes something, and both origins would be asked to do again what the client asked once", "remove it, or write allowWrites: true if that may be")
		}
	}
	return slices.Sorted(slices.Values(written))
}

func methodHint(method string, known []string) string {
	if upper := strings.ToUpper(method); slices.Contains(known, upper) {
		return "write " + upper
	}
	return ""
}

// grpcMethods returns full names as they are in paths.
func (p *problems) grpcMethods(written []string) []string {
	if p.count("grpcMethods", len(written), MaxMirrorGRPCMethods, "methods") {
		return nil
	}
	var out []string
	for i, w := range written {
		path := "/" + strings.TrimPrefix(w, "/")
		switch {
		case len(w) > MaxValueBytes:
			p.add(at("grpcMethods", i), "too_long", w, fmt.Sprintf("has %d bytes; at most %d are allowed", len(w), MaxValueBytes), "")
		case !isGRPCMethod(path[1:]):
			p.add(at("grpcMethods", i), "grpc_method_invalid", w, "must be the full name of a method: package.Service/Method", "write it like shop.Orders/Get")
		case slices.Contains(out, path):
			p.add(at("grpcMethods", i), "method_duplicate", w, "is listed twice", "remove one of them")
		default:
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// isGRPCMethod tells whether s is "package.Service/Method".
func isGRPCMethod(s string) bool {
	service, method, ok := strings.Cut(s, "/")
	if !ok || !isIdentifier(method) {
		return false
	}
	for part := range strings.SplitSeq(service, ".") {
		if !isIdentifier(part) {
			return false
		}
	}
	return true
}

// isIdentifier tells whether s is a name of the language of protobuf.
func isIdentifier(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !isAlnum(c) || i == 0 && c >= '0' && c <= '9' {
			return false
		}
	}
	return s != ""
}

// mirrorHeaders returns the conditions on headers, in the order written.
func (p *problems) mirrorHeaders(docs []*crossfadev1.ValueMatch) []Match {
	if p.count("headers", len(docs), MaxMirrorHeaders, "conditions") {
		return nil
	}
	var out []Match
	for i, d := range docs {
		field := at("headers", i)
		before := len(p.found)
		name := p.checkHeader(field+".name", d.GetName())
		for _, e := range p.found[before:] {
			if e.Code == "header_reserved" {
				e.Next = reservedNext("") // what a pin could look at instead is no help here
			}
		}
		out = append(out, p.valueMatch(field, OnHeader, name, d))
	}
	return out
}

// headerNames returns names of headers in lower case, in the order written.
func (p *problems) headerNames(field string, written []string, most int) []string {
	if p.count(field, len(written), most, "headers") {
		return nil
	}
	var out []string
	for i, w := range written {
		name := strings.ToLower(w)
		switch {
		case len(w) > MaxValueBytes:
			p.add(at(field, i), "too_long", w, fmt.Sprintf("has %d bytes; at most %d are allowed", len(w), MaxValueBytes), "")
		case !isToken(w):
			p.add(at(field, i), "header_invalid", w, "is not a header name: letters, digits and !#$%&'*+-.^_`|~ are allowed", "")
		case slices.Contains(out, name):
			p.add(at(field, i), "header_duplicate", w, "is listed twice; capital letters make no difference", "remove one of them")
		default:
			out = append(out, name)
		}
	}
	return out
}

// texts bounds a list whose elements are looked at elsewhere.
func (p *problems) texts(field string, written []string, most int, what string) []string {
	if p.count(field, len(written), most, what) {
		return nil
	}
	for i, w := range written {
		p.bounded(at(field, i), w)
	}
	return slices.Clone(written)
}

func (p *problems) bounded(field, value string) {
	if len(value) > MaxMirrorPlaceBytes {
		p.add(field, "too_long", value, fmt.Sprintf("has %d bytes; at most %d are allowed", len(value), MaxMirrorPlaceBytes), "")
	}
}

// mirrorValues returns the places whose values may be shown.
func (p *problems) mirrorValues(written []string) []string {
	out := p.texts("values", written, MaxMirrorValues, "places")
	for i, v := range out {
		if !strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "header:") && !strings.HasPrefix(v, "trailer:") {
			p.add(at("values", i), "place_invalid", v, "is no place in an answer", `write it as reports name it: "$.state", header:NAME or trailer:NAME`)
		}
	}
	return out
}

// ruleActions are what a rule can say of a difference. What each needs is known to package rule of pkg/shadow.
func ruleActions() []string { return []string{"ignore", "tolerate", "set", "map", "mustEqual"} }

func (p *problems) mirrorRules(docs []*crossfadev1.MirrorRule) []MirrorRule {
	if p.count("rules", len(docs), MaxMirrorRules, "rules") {
		return nil
	}
	var out []MirrorRule
	for i, d := range docs {
		field := at("rules", i)
		for _, part := range [][2]string{{"endpoint", d.GetEndpoint()}, {"path", d.GetPath()}, {"pattern", d.GetPattern()}, {"key", d.GetKey()}} {
			p.bounded(field+"."+part[0], part[1])
		}
		if d.GetPath() == "" {
			p.add(field+".path", "path_missing", "", "the place that the rule is for is needed", `write for example path: $.updated, header:NAME, status or body`)
		}
		if !slices.Contains(ruleActions(), d.GetAction()) {
			p.add(field+".action", "rule_action", d.GetAction(), "must be "+oneOf(ruleActions()), "")
		}
		out = append(out, MirrorRule{
			Endpoint: d.GetEndpoint(), Path: d.GetPath(), Action: d.GetAction(), Abs: d.GetAbs(), Rel: d.GetRel(),
			Window: p.duration(field+".window", d.GetWindow(), durationRule{}), Pattern: d.GetPattern(), Key: d.GetKey(),
		})
	}
	return out
}
