package tree

import (
	"unicode/utf16"
	"unicode/utf8"
)

// space skips white space.
func (p *jsonReader) space() {
	for p.at < len(p.src) {
		if c := p.src[p.at]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return
		}
		p.at++
	}
}

// quoted reads a string, at its first quote. If it is not whole, ok is false, and end is 0 unless something in it is wrong.
func (p *jsonReader) quoted() (start, end uint32, f flags, ok bool) {
	src, i := p.src, p.at+1
	start = uint32(i)
	for i < len(src) {
		switch c := src[i]; {
		case c == '"':
			p.at = i + 1
			return start, uint32(i), f, true
		case c == '\\':
			f |= escaped
			n := escapeLength(src[i:])
			if n < 0 {
				p.at = i
				return start, start, f, false
			}
			i += n
		case c < ' ':
			p.at = i
			return start, start, f, false
		default:
			i++
		}
	}
	p.at = len(src)
	return start, 0, f, false
}

// escapeLength is how many bytes an escape has, -1 if it is none. One that is cut off has all of s.
func escapeLength(s []byte) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		for i := 2; i < min(6, len(s)); i++ {
			if hexDigit(s[i]) < 0 {
				return -1
			}
		}
		return min(6, len(s))
	}
	return -1
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// number reads a number by the grammar of JSON.
func (p *jsonReader) number() error {
	src, i := p.src, p.at
	digits := func() bool {
		first := i
		for i < len(src) && src[i] >= '0' && src[i] <= '9' {
			i++
		}
		return i > first
	}
	if i < len(src) && src[i] == '-' {
		i++
	}
	first := i
	ok := digits() && (src[first] != '0' || i == first+1)
	if ok && i < len(src) && src[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		ok = digits()
	}
	start := uint32(p.at)
	switch {
	case i == len(src) && p.prefix:
		p.at = i
		if i > int(start) {
			p.leaf(number, start, uint32(i), cut)
		}
		return p.short()
	case !ok:
		return ErrSyntax
	}
	p.at = i
	p.leaf(number, start, uint32(i), 0)
	return nil
}

// unescape appends the bytes that a string stands for. A lone surrogate becomes the three bytes that UTF-8 would have for it.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			dst = append(dst, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			dst, i = unescapeRune(dst, s, i)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// unescapeRune appends what the digits at i stand for, with those of a second surrogate after them.
func unescapeRune(dst, s []byte, i int) ([]byte, int) {
	r, i := fourDigits(s, i)
	if utf16.IsSurrogate(r) && i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
		second, after := fourDigits(s, i+2)
		if both := utf16.DecodeRune(r, second); both != utf8.RuneError {
			return utf8.AppendRune(dst, both), after
		}
	}
	if utf16.IsSurrogate(r) {
		return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0xbf, 0x80|byte(r)&0xbf), i
	}
	return utf8.AppendRune(dst, r), i
}

func fourDigits(s []byte, i int) (rune, int) {
	r := rune(0)
	for end := min(i+4, len(s)); i < end; i++ {
		r = r<<4 | max(hexDigit(s[i]), 0)
	}
	return r, i
}
