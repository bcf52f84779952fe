package rule

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Rules is a set of compiled rules. It is never changed.
type Rules struct {
	rules     []*Compiled
	patterns  []Pattern
	endpoints []string // the templates that rules name, each once
}

// Compile checks rules. The errors name fields as "rules[2].path".
func Compile(rules []Rule) (*Rules, policy.Errors) {
	var errs policy.Errors
	if len(rules) > MaxRules {
		return nil, policy.Errors{{Kind: policy.Invalid, Code: "too_many", Field: "rules", Message: fmt.Sprintf("has %d rules; at most %d are allowed", len(rules), MaxRules), Next: "use .** and .* to say several with one"}}
	}
	out := &Rules{}
	positions := 0
	for i, r := range rules {
		c, p, errsOfRule := compile(r)
		for _, e := range errsOfRule {
			e.Kind, e.Field = policy.Invalid, fmt.Sprintf("rules[%d].%s", i, e.Field)
		}
		errs = append(errs, errsOfRule...)
		c.nth = i
		out.rules, out.patterns = append(out.rules, c), append(out.patterns, p)
		positions += len(p.segments) + 1
		if r.Endpoint != "" && !slices.Contains(out.endpoints, r.Endpoint) {
			out.endpoints = append(out.endpoints, r.Endpoint)
		}
	}
	if len(out.endpoints) > MaxEndpoints {
		errs = append(errs, &policy.Error{Kind: policy.Invalid, Code: "too_many", Field: "rules", Message: fmt.Sprintf("name %d endpoints; at most %d are allowed", len(out.endpoints), MaxEndpoints), Next: "leave the endpoint out where a rule is for all"})
	}
	if positions > maxPositions && len(errs) == 0 {
		errs = append(errs, &policy.Error{Kind: policy.Invalid, Code: "rules_too_large", Field: "rules", Message: fmt.Sprintf("the paths of all rules have %d steps; at most %d are allowed", positions, maxPositions), Next: "use .** for the steps in the middle"})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// Mask says which of the templates that rules name a path has: a bit each.
func (s *Rules) Mask(path string) uint64 {
	if s == nil {
		return 0
	}
	mask := uint64(0)
	for i, t := range s.endpoints {
		if hasTemplate(path, t) {
			mask |= 1 << i
		}
	}
	return mask
}

// View returns the rules that hold for paths with a mask; nil if none does. Callers keep what it returns: it is built anew each time.
func (s *Rules) View(mask uint64) *View {
	if s == nil {
		return nil
	}
	v := &View{headers: map[string]*Compiled{}}
	some := false
	for i, r := range s.rules {
		nth := slices.Index(s.endpoints, r.Endpoint)
		if nth < 0 || mask&(1<<nth) != 0 {
			v.add(r, s.patterns[i])
			some = true
		}
	}
	if !some {
		return nil
	}
	return v
}

// hasTemplate says that a path has a template. A query does not count.
func hasTemplate(path, template string) bool {
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
	}
	for {
		p, morePath, inPath := strings.Cut(path, "/")
		t, moreTemplate, inTemplate := strings.Cut(template, "/")
		if p != t && !placeholder(t) || inPath != inTemplate {
			return false
		}
		if !inPath {
			return true
		}
		path, template = morePath, moreTemplate
	}
}

func placeholder(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }

// compile checks one rule; fields of errors are those of the rule.
func compile(r Rule) (*Compiled, Pattern, policy.Errors) {
	var errs policy.Errors
	wrong := func(field, code, value, message, next string) {
		errs = append(errs, &policy.Error{Code: code, Field: field, Value: value, Message: message, Next: next})
	}
	c := &Compiled{Rule: r}
	p := compilePath(r, wrong)
	if r.Endpoint != "" && (!strings.HasPrefix(r.Endpoint, "/") || len(r.Endpoint) > MaxPathBytes) {
		wrong("endpoint", "endpoint_invalid", clip(r.Endpoint), `a template of a path begins with "/"`, `write it like "/orders/{id}"`)
	}
	switch r.Action {
	case Ignore, MustEqual:
	case Set, Map:
		if !strings.HasPrefix(r.Path, "$") {
			wrong("action", "rule_action", string(r.Action), "is only for places in a document", `use a path that begins with "$"`)
		}
	case Tolerate:
		c.pattern = compileTolerance(r, wrong)
	default:
		wrong("action", "rule_action", clip(string(r.Action)), "is not an action", "use ignore, tolerate, set, map or mustEqual")
	}
	if r.Action != Tolerate && (r.Abs != 0 || r.Rel != 0 || r.Window != 0 || r.Pattern != "") {
		wrong("action", "rule_tolerance", string(r.Action), "abs, rel, window and pattern belong to tolerate", "")
	}
	if r.Key != "" && r.Action != Set {
		wrong("key", "rule_key", clip(r.Key), "belongs to set", "")
	}
	return c, p, errs
}

func compilePath(r Rule, wrong func(field, code, value, message, next string)) Pattern {
	header := strings.HasPrefix(r.Path, "header:") || strings.HasPrefix(r.Path, "trailer:")
	_, name, _ := strings.Cut(r.Path, ":")
	switch {
	case len(r.Path) > MaxPathBytes:
		wrong("path", "too_long", "", fmt.Sprintf("has %d bytes; at most %d are allowed", len(r.Path), MaxPathBytes), "use .** for the steps in the middle")
	case strings.HasPrefix(r.Path, "$"):
		p, err := parsePattern(r.Path)
		if err != nil {
			wrong("path", "path_invalid", clip(r.Path), err.message, err.next)
		}
		return p
	case header && (name == "" || strings.ContainsAny(name, " \t\r\n:*")):
		wrong("path", "path_invalid", clip(r.Path), "names no header", "write header:NAME or trailer:NAME")
	case !header && r.Path != "status" && r.Path != "body":
		wrong("path", "path_invalid", clip(r.Path), "is no place in an answer", `use "$…" for a place in the document, header:NAME, trailer:NAME, status or body`)
	}
	return Pattern{}
}

func compileTolerance(r Rule, wrong func(field, code, value, message, next string)) *regexp.Regexp {
	outOfRange := func(field string, v, limit float64) {
		if !(v >= 0 && v < limit) {
			wrong(field, "tolerance_range", fmt.Sprint(v), "a tolerance is at least 0, and a relative one less than 1", "")
		}
	}
	outOfRange("abs", r.Abs, math.Inf(1))
	outOfRange("rel", r.Rel, 1)
	if r.Window < 0 {
		wrong("window", "tolerance_range", r.Window.String(), "is negative", "")
	}
	if r.Abs == 0 && r.Rel == 0 && r.Window == 0 && r.Pattern == "" {
		wrong("action", "rule_tolerance", string(r.Action), "says not how much", "give abs, rel, window or pattern")
	}
	if r.Path == "body" && r.Pattern == "" || r.Path == "status" {
		wrong("action", "rule_tolerance", string(r.Action), "a status has no tolerance, and text only a pattern", "use ignore")
	}
	if r.Pattern == "" {
		return nil
	}
	expression, ok := named[r.Pattern]
	if !ok {
		expression = r.Pattern
	}
	if len(expression) > MaxExpression {
		wrong("pattern", "regex_too_expensive", "", fmt.Sprintf("has %d bytes; at most %d are allowed", len(expression), MaxExpression), "")
		return nil
	}
	if r.Path != "body" {
		expression = `\A(?:` + expression + `)\z`
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		wrong("pattern", "regex_invalid", clip(r.Pattern), "is not an RE2 expression, nor one of uuid, time, hex, number, id", "")
		return nil
	}
	return re
}

// clip shortens what is repeated in an error.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
