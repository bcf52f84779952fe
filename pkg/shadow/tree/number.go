package tree

import "bytes"

// decimal is a number in one form: the digits of an integer without zeros at either end, and by which power of ten to multiply it.
type decimal struct {
	digits   []byte // without those zeros; empty for 0
	skip     int    // where in digits the point is, to be left out; -1 if there is none
	exponent int64
	negative bool
}

// maxExponent bounds exponents: beyond, numbers are the same only if their text is.
const maxExponent = 1 << 40

// sameNumber says that two numbers have the same value, however they are written.
func sameNumber(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := parseDecimal(a), parseDecimal(b)
	if x.exponent >= maxExponent || x.exponent <= -maxExponent {
		return false
	}
	return x.negative == y.negative && x.exponent == y.exponent && x.sameDigits(y)
}

func parseDecimal(s []byte) decimal {
	d := decimal{skip: -1}
	if len(s) > 0 && s[0] == '-' {
		d.negative, s = true, s[1:]
	}
	end := bytes.IndexAny(s, "eE")
	if end >= 0 {
		d.exponent = exponentOf(s[end+1:])
		s = s[:end]
	}
	if point := bytes.IndexByte(s, '.'); point >= 0 {
		d.exponent -= int64(len(s) - point - 1)
	}
	return d.trim(s)
}

// trim takes the zeros off both ends.
func (d decimal) trim(s []byte) decimal {
	for len(s) > 0 && (s[0] == '0' || s[0] == '.') {
		s = s[1:]
	}
	fraction := bytes.IndexByte(s, '.') >= 0
	for len(s) > 0 && (s[len(s)-1] == '0' || s[len(s)-1] == '.') {
		if s[len(s)-1] == '0' {
			d.exponent++
		}
		s = s[:len(s)-1]
	}
	if len(s) == 0 {
		return decimal{skip: -1} // zero, and minus zero
	}
	if d.digits = s; fraction {
		d.skip = bytes.IndexByte(s, '.')
	}
	return d
}

func exponentOf(s []byte) int64 {
	negative := len(s) > 0 && s[0] == '-'
	e := int64(0)
	for _, c := range s {
		if c >= '0' && c <= '9' {
			e = min(e*10+int64(c-'0'), 2*maxExponent)
		}
	}
	if negative {
		return -e
	}
	return e
}

func (d decimal) sameDigits(o decimal) bool {
	n, m := len(d.digits), len(o.digits)
	if d.skip >= 0 {
		n--
	}
	if o.skip >= 0 {
		m--
	}
	if n != m {
		return false
	}
	for i := range n {
		if d.digit(i) != o.digit(i) {
			return false
		}
	}
	return true
}

func (d decimal) digit(i int) byte {
	if d.skip >= 0 && i >= d.skip {
		i++
	}
	return d.digits[i]
}

// append appends a text that is the same for numbers of the same value.
func (d decimal) append(dst []byte) []byte {
	if d.negative {
		dst = append(dst, '-')
	}
	for i := range d.digits {
		if i != d.skip {
			dst = append(dst, d.digits[i])
		}
	}
	e := uint64(d.exponent)
	return append(dst, 'e', byte(e), byte(e>>8), byte(e>>16), byte(e>>24), byte(e>>32), byte(e>>40), byte(e>>48), byte(e>>56))
}
