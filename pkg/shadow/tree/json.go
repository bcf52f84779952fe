package tree

import (
	"bytes"
	"errors"
)

// What is wrong with a document. The errors tell nothing of its content.
var (
	ErrSyntax = errors.New("not well-formed")
	ErrDeep   = errors.New("nested too deeply")
	ErrLarge  = errors.New("too large to be read")
)

// ReadJSON reads a document, and is strict but for: invalid UTF-8 and lone surrogates in strings, NaN and Infinity, and several documents
// one after the other, which are read as an array. Of a prefix it reads what is there: a document that ends too early is then no error.
func (d *Doc) ReadJSON(src []byte, prefix bool) error {
	d.reset(src)
	if len(src) > MaxBytes {
		return ErrLarge
	}
	p := jsonReader{Doc: d, prefix: prefix}
	if err := p.document(); err != nil {
		d.nodes = d.nodes[:0]
		return err
	}
	return nil
}

// jsonReader is the state of reading one document.
type jsonReader struct {
	*Doc
	at               int
	prefix           bool
	keyStart, keyEnd uint32
	keyFlags         flags
	done             bool // the end of what can be read was reached
}

// document reads all values at the top. Usually there is one.
func (p *jsonReader) document() error {
	if err := p.tree(); err != nil || p.done {
		return err
	}
	if p.space(); p.at == len(p.src) {
		return nil
	}
	// Several documents: read again, below an array.
	p.at, p.arena, p.nodes = 0, p.arena[:0], p.nodes[:0]
	p.push(array)
	for {
		if err := p.tree(); err != nil || p.done {
			return err
		}
		if p.space(); p.at == len(p.src) {
			p.nodes[0].next = uint32(len(p.nodes))
			if p.prefix {
				p.nodes[0].flags |= open
			}
			return nil
		}
	}
}

// tree reads one value with all below it.
func (p *jsonReader) tree() error {
	base := len(p.stack)
	for {
		opened, err := p.one()
		if err != nil || p.done {
			return err
		}
		if opened {
			continue
		}
		for len(p.stack) > base {
			more, err := p.after()
			if err != nil || p.done {
				return err
			}
			if more {
				break
			}
		}
		if len(p.stack) == base {
			return nil
		}
	}
}

// one reads a value, or the beginning of an object or array that is not empty: then it says so, and the next value is the first in it.
func (p *jsonReader) one() (opened bool, err error) {
	if p.space(); p.at == len(p.src) {
		return false, p.short()
	}
	if len(p.nodes) >= MaxNodes {
		p.Partial = true
		return false, p.stop()
	}
	switch c := p.src[p.at]; c {
	case '{', '[':
		p.at++
		return p.container(c)
	case '"':
		start, end, f, ok := p.quoted()
		if !ok {
			return false, p.cutString(start, f)
		}
		p.leaf(text, start, end, f)
	case 't':
		return false, p.word("true", boolTrue)
	case 'f':
		return false, p.word("false", boolFalse)
	case 'n':
		return false, p.word("null", null)
	case 'N':
		return false, p.word("NaN", odd)
	case 'I':
		return false, p.word("Infinity", odd)
	default:
		if c == '-' && p.at+1 < len(p.src) && p.src[p.at+1] == 'I' {
			return false, p.word("-Infinity", odd)
		}
		return false, p.number()
	}
	return false, nil
}

func (p *jsonReader) container(c byte) (opened bool, err error) {
	if len(p.stack) >= MaxDepth {
		return false, ErrDeep
	}
	k, end := object, byte('}')
	if c == '[' {
		k, end = array, ']'
	}
	p.push(k)
	if p.space(); p.at == len(p.src) {
		return false, p.short()
	}
	if p.src[p.at] == end {
		p.at++
		p.pop()
		return false, nil
	}
	if k == object {
		return true, p.member()
	}
	return true, nil
}

// after reads what follows a value: a comma, then more is true, or the end of the container.
func (p *jsonReader) after() (more bool, err error) {
	if p.space(); p.at == len(p.src) {
		return false, p.short()
	}
	top := p.nodes[p.stack[len(p.stack)-1]].kind
	c := p.src[p.at]
	p.at++
	switch {
	case (c == '}' && top != object) || (c == ']' && top != array):
		return false, ErrSyntax
	case c == ',' && top == object:
		return true, p.member()
	case c == ',':
		return true, nil
	case c == '}' || c == ']':
		p.pop()
		return false, nil
	}
	return false, ErrSyntax
}

// member reads the key of a member, and its colon.
func (p *jsonReader) member() error {
	if p.space(); p.at == len(p.src) {
		return p.short()
	}
	if p.src[p.at] != '"' {
		return ErrSyntax
	}
	start, end, f, ok := p.quoted()
	if !ok {
		if end == 0 {
			return p.short()
		}
		return ErrSyntax
	}
	p.keyStart, p.keyEnd, p.keyFlags = start, end, 0
	if f&escaped != 0 {
		first := len(p.arena)
		p.arena = unescape(p.arena, p.src[start:end])
		p.keyStart, p.keyEnd, p.keyFlags = uint32(first), uint32(len(p.arena)), keyInArena
	}
	if p.space(); p.at == len(p.src) {
		return p.short()
	}
	if p.src[p.at] != ':' {
		return ErrSyntax
	}
	p.at++
	return nil
}

func (p *jsonReader) leaf(k kind, start, end uint32, f flags) {
	p.count()
	n := uint32(len(p.nodes))
	p.nodes = append(p.nodes, node{start: start, end: end, keyStart: p.keyStart, keyEnd: p.keyEnd, next: n + 1, kind: k, flags: f | p.keyFlags})
	p.keyStart, p.keyEnd, p.keyFlags = 0, 0, 0
}

func (p *jsonReader) push(k kind) {
	at := uint32(max(p.at-1, 0))
	p.leaf(k, at, at, 0)
	p.stack = append(p.stack, uint32(len(p.nodes)-1))
}

func (p *jsonReader) pop() {
	n := &p.nodes[p.stack[len(p.stack)-1]]
	n.next, n.end = uint32(len(p.nodes)), uint32(p.at)
	p.stack = p.stack[:len(p.stack)-1]
}

// count adds a child to the innermost container.
func (p *jsonReader) count() {
	if len(p.stack) > 0 {
		p.nodes[p.stack[len(p.stack)-1]].size++
	}
}

// short ends the reading of a prefix; for a whole document it is an error.
func (p *jsonReader) short() error {
	if !p.prefix {
		return ErrSyntax
	}
	return p.stop()
}

// stop ends the reading here: all containers that are not closed stay open.
func (p *jsonReader) stop() error {
	p.done = true
	for _, i := range p.stack {
		n := &p.nodes[i]
		n.flags |= open
		n.next, n.end = uint32(len(p.nodes)), uint32(p.at)
	}
	return nil
}

func (p *jsonReader) cutString(start uint32, f flags) error {
	if p.at < len(p.src) {
		return ErrSyntax
	}
	if p.prefix {
		p.leaf(text, start, uint32(len(p.src)), f|cut)
	}
	return p.short()
}

func (p *jsonReader) word(w string, k kind) error {
	rest := p.src[p.at:]
	if len(rest) < len(w) && bytes.HasPrefix([]byte(w), rest) {
		p.at = len(p.src)
		return p.short()
	}
	if len(rest) < len(w) || string(rest[:len(w)]) != w {
		return ErrSyntax
	}
	p.leaf(k, uint32(p.at), uint32(p.at+len(w)), 0)
	p.at += len(w)
	return nil
}
