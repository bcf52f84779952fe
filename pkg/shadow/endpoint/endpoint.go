// Package endpoint makes templates of paths, so that answers to the same question are counted together, and so that nobody's id is shown:
// "/orders/{id}" for "/orders/4711". Templates are given, or learned: a segment is a placeholder if it does not look like a name, if it has
// digits that are not of a version, or if there are too many different ones at its place.
//
// What is learned depends on which paths were seen, but not on their order: [Templates.Merge] and [Templates.Again] say what earlier
// templates are now.
package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/name"
)

// Bounds of templates.
const (
	MaxGiven    = 256  // templates that a user gives
	MaxSegments = 16   // of a path; what is below is one {rest}
	MaxNames    = 24   // different names at one place; with more they are all ids
	MaxNodes    = 4096 // places that are remembered, in all
)

// Other is the template of paths for which there was no room.
const Other = "(other)"

const (
	placeholder = "{id}"
	rest        = "{rest}"
)

// Templates knows the templates of one service. It is not safe for concurrent use.
type Templates struct {
	given [][]string
	names []string // of given, as they were written
	root  node
	nodes int
}

// node is a place in the tree of learned paths.
type node struct {
	template string
	children map[string]*node // by segment, with placeholders
	many     bool             // there were too many names here: they are all ids
}

// New returns templates that know those that are given, the first that matches a path counts. The errors name fields as "endpoints[2]".
func New(given []string) (*Templates, policy.Errors) {
	t := &Templates{}
	var errs policy.Errors
	for i, g := range given {
		wrong := func(code, message, next string) {
			errs = append(errs, &policy.Error{Kind: policy.Invalid, Code: code, Field: fmt.Sprintf("endpoints[%d]", i), Value: clip(g), Message: message, Next: next})
		}
		switch segments := slices.Clone(split(g, &[MaxSegments]string{})); {
		case !strings.HasPrefix(g, "/"):
			wrong("endpoint_invalid", `a template of a path begins with "/"`, `write it like "/orders/{id}"`)
		case strings.ContainsAny(g, "?#*"):
			wrong("endpoint_invalid", "a template has no query, fragment or *", `write {name} for a segment that varies`)
		case strings.Count(g, "/") > MaxSegments:
			wrong("endpoint_invalid", fmt.Sprintf("has %d segments; at most %d are allowed", strings.Count(g, "/"), MaxSegments), "")
		default:
			t.given, t.names = append(t.given, segments), append(t.names, g)
		}
	}
	if len(given) > MaxGiven {
		errs = append(errs, &policy.Error{Kind: policy.Invalid, Code: "too_many", Field: "endpoints", Message: fmt.Sprintf("has %d templates; at most %d are allowed", len(given), MaxGiven)})
	}
	return t, errs
}

// Of returns the template of a path, and learns from it. A query is left out. Changed says that templates of earlier paths may be others
// now, see [Templates.Again].
func (t *Templates) Of(path string) (template string, changed bool) {
	var into [MaxSegments]string
	segments := split(path, &into)
	if g := t.match(segments); g >= 0 {
		return t.names[g], false
	}
	return t.learn(segments)
}

// Again returns what a template that was learned earlier is now.
func (t *Templates) Again(template string) string {
	if template == Other || slices.Contains(t.names, template) {
		return template
	}
	now, _ := t.learn(split(template, &[MaxSegments]string{}))
	return now
}

// Merge learns what other templates have learned.
func (t *Templates) Merge(o *Templates) {
	t.merge(&t.root, &o.root)
}

func (t *Templates) merge(n, o *node) {
	if o.many {
		t.collapse(n)
	}
	for _, s := range o.segments() {
		if child, _ := t.child(n, s); child != nil {
			t.merge(child, o.children[s])
		}
	}
}

// segments are those of the children of a node, in order.
func (n *node) segments() []string {
	out := make([]string, 0, len(n.children))
	for s := range n.children {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// match returns which given template a path has, -1 if none.
func (t *Templates) match(segments []string) int {
	return slices.IndexFunc(t.given, func(g []string) bool {
		return slices.EqualFunc(g, segments, func(want, s string) bool { return isPlaceholder(want) || want == s })
	})
}

func isPlaceholder(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }

// learn goes down the tree along a path.
func (t *Templates) learn(segments []string) (template string, changed bool) {
	n := &t.root
	for _, s := range segments {
		if s != rest && s != "" && !plain(s) {
			s = placeholder
		}
		child, collapsed := t.child(n, s)
		if changed = changed || collapsed; child == nil {
			return Other, changed
		}
		n = child
	}
	return n.template, changed
}

// child returns the child of a node for a segment, made if need be; nil if there is no room. Collapsed says that names became ids.
func (t *Templates) child(n *node, s string) (c *node, collapsed bool) {
	isName := s != placeholder && s != rest && s != ""
	if n.many && isName {
		s = placeholder
	}
	if c := n.children[s]; c != nil {
		return c, false
	}
	if isName && !n.many && n.count() >= MaxNames {
		t.collapse(n)
		c, _ := t.child(n, placeholder)
		return c, true
	}
	if t.nodes >= MaxNodes {
		return nil, false
	}
	t.nodes++
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c = &node{template: n.template + "/" + s}
	n.children[s] = c
	return c, false
}

// count is how many names a node has.
func (n *node) count() int {
	c := len(n.children)
	for _, s := range []string{placeholder, rest, ""} {
		if n.children[s] != nil {
			c--
		}
	}
	return c
}

// collapse makes all names below a node one id.
func (t *Templates) collapse(n *node) {
	if n.many {
		return
	}
	n.many = true
	old := n.children
	n.children = map[string]*node{}
	for s, c := range old {
		t.nodes -= c.size()
		if s == rest || s == "" {
			n.children[s] = c
			t.nodes += c.size()
			delete(old, s)
		}
	}
	for _, s := range (&node{children: old}).segments() {
		if child, _ := t.child(n, placeholder); child != nil {
			t.merge(child, old[s])
		}
	}
}

// size is the number of nodes from one on down.
func (n *node) size() int {
	sum := 1
	for _, c := range n.children {
		sum += c.size()
	}
	return sum
}

// split cuts a path into segments; what is below MaxSegments is one.
func split(path string, into *[MaxSegments]string) []string {
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
	}
	path = strings.TrimPrefix(path, "/")
	for i := range into {
		segment, more, found := strings.Cut(path, "/")
		if into[i] = segment; !found {
			return into[:i+1]
		}
		path = more
	}
	into[MaxSegments-1] = rest
	return into[:]
}

// clip shortens what is repeated in an error.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// plain says that a segment is shown as it is: it is a name without digits but those of a version. In the name of a field digits are part of the
// name (sha256); in a path they are mostly somebody's or something's (u154, SKU-07B5D).
func plain(s string) bool {
	if !name.LikeString(s) {
		return false
	}
	for word := range strings.FieldsFuncSeq(s, isMark) {
		if strings.ContainsAny(word, digits) && !isVersion(word) {
			return false
		}
	}
	return true
}

const digits = "0123456789"

func isMark(r rune) bool { return strings.ContainsRune("._:-$", r) }

// isVersion says that a word is the version of an interface: v1, v12.
func isVersion(word string) bool {
	return len(word) >= 2 && len(word) <= 3 && (word[0] == 'v' || word[0] == 'V') && strings.Trim(word[1:], digits) == ""
}
