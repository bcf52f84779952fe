package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// fieldStep is one step of a field path: a name, or an index or key in brackets.
var fieldStep = regexp.MustCompile(`\["((?:[^"\\]|\\.)*)"\]|\[([^\]]*)\]|[^.\[\]]+`)

// Line is the line, from 1, where a field such as `origins[1].name` or `split.weights["eks"]` is written; that of the nearest
// field around it if it is not written.
func (p *Parsed) Line(field string) int {
	n := p.root
	line := n.Line
	for _, step := range fieldStep.FindAllStringSubmatch(field, -1) {
		name := step[0]
		if strings.HasPrefix(name, "[") {
			name = step[1] + step[2]
		}
		key, value := descend(n, name)
		if value == nil {
			return line
		}
		n, line = value, key.Line
	}
	return line
}

// Locate says where in the file an error of this document is.
func (p *Parsed) Locate(err *policy.Error) *Error {
	return &Error{File: p.File, Line: p.Line(err.Field), Err: err}
}

// descend finds a key of a mapping or an element of a list, with the node whose line is to be shown.
func descend(n *yaml.Node, name string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	}
	return nil, nil
}

// child is the value of a key of a mapping, nil if it is not there.
func child(n *yaml.Node, name string) *yaml.Node {
	_, value := descend(n, name)
	return value
}
