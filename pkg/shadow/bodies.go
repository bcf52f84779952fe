package shadow

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// form is what a body is compared as.
type form uint8

const (
	asBinary form = iota
	asText
	asJSON
	asGRPC
	asProto
)

func (c *Comparer) compareBodies(p *Pair, a, b *Answer, v *rule.View) {
	if len(a.Body) == len(b.Body) && a.OverCap == b.OverCap && a.Length == b.Length && bytes.Equal(a.Body, b.Body) {
		return
	}
	r := v.Body()
	if len(a.Body) == 0 || len(b.Body) == 0 {
		if len(a.Body) != len(b.Body) && !ignores(r) {
			c.add(KindBody, "body", c.bodyShape(a), c.bodyShape(b), demands(r))
		}
		return
	}
	prefix := a.OverCap || b.OverCap
	switch formOf(a, b) {
	case asJSON:
		c.json(a, b, prefix, v)
	case asGRPC:
		c.grpc(p, a, b, prefix, v)
	case asProto:
		c.protobuf(a, b, prefix, v)
	case asText:
		c.text(KindText, a, b, v)
	default:
		c.text(KindBinary, a, b, v)
	}
	if prefix && !ignores(r) {
		c.lengths(a, b, demands(r))
	}
}

// lengths compares bodies beyond what was read.
func (c *Comparer) lengths(a, b *Answer, must bool) {
	x, y := Shape{Type: "body", Length: int(max(a.Length, 0))}, Shape{Type: "body", Length: int(max(b.Length, 0))}
	switch {
	case a.OverCap != b.OverCap:
		c.add(KindOverCap, "body", x, y, must)
	case a.Length >= 0 && b.Length >= 0 && a.Length != b.Length:
		c.add(KindLength, "body", x, y, must)
	}
}

// bodyShape is the shape of a body as a whole.
func (c *Comparer) bodyShape(a *Answer) Shape {
	if len(a.Body) == 0 {
		return absent
	}
	return Shape{Type: "body", Length: len(a.Body), Hash: c.hashes.text(a.Body)}
}

// formOf says what two bodies are compared as. They are JSON also if nobody says so but both look like it.
func formOf(a, b *Answer) form {
	if a.Encoded || b.Encoded {
		return asBinary
	}
	x, y := mediaType(first(a.Headers, "Content-Type")), mediaType(first(b.Headers, "Content-Type"))
	switch {
	case isJSON(x) || isJSON(y):
		return asJSON
	case strings.HasPrefix(x, "application/grpc") && strings.HasPrefix(y, "application/grpc") && !strings.HasPrefix(x, "application/grpc-web"):
		return asGRPC
	case isProto(x) && isProto(y):
		return asProto
	case looksLikeJSON(a.Body) && looksLikeJSON(b.Body):
		return asJSON
	case isText(x) && isText(y) || utf8.Valid(a.Body) && utf8.Valid(b.Body):
		return asText
	}
	return asBinary
}

func isJSON(m string) bool {
	return m == "application/json" || strings.HasSuffix(m, "+json") || strings.HasSuffix(m, "ndjson") || m == "text/json"
}

func isProto(m string) bool {
	return m == "application/protobuf" || m == "application/x-protobuf" || m == "application/vnd.google.protobuf"
}

func isText(m string) bool {
	return strings.HasPrefix(m, "text/") || strings.HasSuffix(m, "xml") || m == "application/javascript" || m == "application/x-www-form-urlencoded"
}

func looksLikeJSON(b []byte) bool {
	b = bytes.TrimLeft(b[:min(len(b), 64)], " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

func (c *Comparer) json(a, b *Answer, prefix bool, v *rule.View) {
	errA := c.a.ReadJSON(a.Body, prefix && a.OverCap)
	errB := c.b.ReadJSON(b.Body, prefix && b.OverCap)
	c.structure(a, b, errA, errB, v)
}

// structure compares documents that were read; if one could not be, that is the difference, and if neither could, they are no documents.
func (c *Comparer) structure(a, b *Answer, errA, errB error, v *rule.View) {
	switch {
	case errA == nil && errB == nil:
		found := len(c.out)
		c.differ.Diff(&c.a, &c.b, v)
		if (c.a.Partial || c.b.Partial) && len(c.out) == found && !ignores(v.Body()) {
			c.add(KindLimit, "body", c.bodyShape(a), c.bodyShape(b), demands(v.Body())) // they differ, but not in what was read
		}
	case errA != nil && errB != nil && utf8.Valid(a.Body) && utf8.Valid(b.Body):
		c.text(KindText, a, b, v)
	case errA != nil && errB != nil:
		c.text(KindBinary, a, b, v)
	case !ignores(v.Body()):
		c.add(KindInvalid, "body", c.readShape(a, errA), c.readShape(b, errB), demands(v.Body()))
	}
	c.a.Release()
	c.b.Release()
	c.proto = false
}

func (c *Comparer) readShape(a *Answer, err error) Shape {
	s := Shape{Type: "document", Length: len(a.Body)}
	if err != nil {
		s.Type = "invalid"
	}
	return s
}

// text compares bodies byte by byte, as far as both were read, without what a rule's pattern leaves out.
func (c *Comparer) text(k Kind, a, b *Answer, v *rule.View) {
	r := v.Body()
	if ignores(r) {
		return
	}
	x, y := a.Body, b.Body
	if r.Masks() {
		c.textA, c.textB = r.Mask(c.textA[:0], x), r.Mask(c.textB[:0], y)
		x, y = c.textA, c.textB
	}
	if a.OverCap || b.OverCap {
		n := min(len(x), len(y))
		x, y = x[:n], y[:n]
	}
	if !bytes.Equal(x, y) {
		c.add(k, "body", c.bodyShape(a), c.bodyShape(b), demands(r))
	}
}
