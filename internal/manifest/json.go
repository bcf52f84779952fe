package manifest

import (
	"bytes"
	"encoding/json"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
)

// JSON writes a tree as one line of JSON, in its order.
func JSON(n *yaml.Node) []byte {
	var b bytes.Buffer
	writeJSON(&b, n)
	return b.Bytes()
}

// Answer turns a message into an ordered tree in the form of answers: lowerCamel names in the order of the schema, 64-bit integers as
// numbers, times in RFC 3339 UTC, durations in seconds ("1.5s"), enums in lower case, maps sorted, empty lists and maps present,
// absent messages and optional fields left out. In the object of a document, whatever is not set is left out, so that it can be applied.
func Answer(m proto.Message) *yaml.Node { return encoder{seconds: true}.message(m.ProtoReflect()) }

// Map returns an empty mapping.
func Map() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// List returns a list of nodes.
func List(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// Put adds a key to the end of a mapping.
func Put(to *yaml.Node, key string, value *yaml.Node) {
	to.Content = append(to.Content, text(key), value)
}

// Str returns a text.
func Str(s string) *yaml.Node { return text(s) }

// Int returns a whole number.
func Int(n int) *yaml.Node { return scalar("!!int", strconv.Itoa(n)) }

func writeJSON(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, n.Content[i].Value)
			b.WriteByte(':')
			writeJSON(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	default:
		if n.Tag == "!!str" {
			writeString(b, n.Value)
		} else {
			b.WriteString(n.Value)
		}
	}
}

// writeString writes s as JSON, without escaping what only HTML minds.
func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}
