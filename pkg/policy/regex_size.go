package policy

import (
	"iter"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RegexProgramSize returns an upper estimate of the size of the program that RE2 in Envoy makes of an expression that Go's parser
// accepts and that speaks of ASCII only. Envoy refuses expressions above MaxRegexProgram unless its bootstrap says otherwise, so the
// estimate is rather above the true size, by half on average; TestRegexProgramSize holds it against sizes that RE2 reported.
//
// Go compiles to runes and RE2 to bytes, so Go's own program says little: "." is one instruction there and eight in RE2.
func RegexProgramSize(expression string) (int, error) {
	parsed, err := syntax.Parse(keepAlternatives(expression), syntax.Perl)
	if err != nil {
		return 0, err
	}
	const frame = 5 // the start, the search for it, the match
	size := programSize(parsed.Simplify(), false)
	return frame + size + size/16, nil
}

// sizeCap keeps sums of estimates from overflowing; everything this large is too large anyway.
const sizeCap = 1 << 20

// programSize estimates one node. RE2 copies some of what is in a loop within a loop, and more for loops that can match nothing.
func programSize(re *syntax.Regexp, inLoop bool) int {
	size := nodeSize(re)
	loop := re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpQuest
	for _, sub := range re.Sub {
		size = min(sizeCap, size+programSize(sub, inLoop || loop))
	}
	if loop && (inLoop || re.Sub[0].Op != syntax.OpLiteral && size <= 4) {
		size += 2 + size/4
	}
	return size
}

// nodeSize estimates what a node adds to the sizes of its parts.
func nodeSize(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return literalSize(re)
	case syntax.OpCharClass:
		return classSize(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 8
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		return 3
	case syntax.OpCapture:
		return 2
	case syntax.OpConcat, syntax.OpEmptyMatch:
		return 0
	}
	return 1
}

func literalSize(re *syntax.Regexp) int {
	size := 0
	for _, r := range re.Rune {
		if re.Flags&syntax.FoldCase == 0 {
			size += utf8.RuneLen(r)
			continue
		}
		fold := []rune{r, r}
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			fold = append(fold, next, next)
		}
		size += classSize(fold)
	}
	return size
}

// classSize sums the lengths of the byte sequences that a class of runes splits into. ranges holds pairs of first and last rune.
func classSize(ranges []rune) int {
	size := 0
	for i := 0; i+1 < len(ranges); i += 2 {
		size = min(sizeCap, size+rangeSize(ranges[i], ranges[i+1]))
	}
	return size
}

// rangeSize splits a range of runes until each part is one sequence of byte ranges.
func rangeSize(lo, hi rune) int {
	if lo == 0x80 && hi == unicode.MaxRune {
		return 6 // RE2 knows this one by heart
	}
	for _, last := range []rune{0x7f, 0x7ff, 0xffff} {
		if lo <= last && last < hi {
			return rangeSize(lo, last) + rangeSize(last+1, hi)
		}
	}
	if hi <= 0x7f {
		return 1
	}
	for bits := 6; bits < 24; bits += 6 {
		mask := rune(1)<<bits - 1
		if lo&^mask == hi&^mask {
			break
		}
		if lo&mask != 0 {
			return rangeSize(lo, lo|mask) + rangeSize((lo|mask)+1, hi)
		}
		if hi&mask != mask {
			return rangeSize(lo, hi&^mask-1) + rangeSize(hi&^mask, hi)
		}
	}
	return utf8.RuneLen(lo)
}

// keepAlternatives puts an empty match after each "|". Go's parser merges alternatives like [ab]|é into one class, and RE2 does not:
// merged, they would look cheaper than they are.
func keepAlternatives(expression string) string {
	var b strings.Builder
	for t := range tokens(expression) {
		b.WriteString(t.text)
		if t.text == "|" && !t.inClass {
			b.WriteString("(?:)")
		}
	}
	return b.String()
}

// isASCII tells whether an expression speaks of ASCII only, apart from what takes everything else at once, like a negated class.
func isASCII(expression string) bool {
	for t := range tokens(expression) {
		switch {
		case strings.ContainsFunc(t.text, func(r rune) bool { return r >= 0x80 }):
			return false
		case t.text == `\p` || t.text == `\P` || escapeCode(t.text) >= 0x80:
			return false
		}
	}
	return true
}

// escapeCode returns the code of a letter that is written as a number, like \x41, \x{41} or \101, and 0 for all else.
func escapeCode(text string) uint64 {
	var code uint64
	if hex, ok := strings.CutPrefix(text, `\x`); ok {
		code, _ = strconv.ParseUint(strings.Trim(hex, "{}"), 16, 64)
	} else if octal, ok := strings.CutPrefix(text, `\`); ok {
		code, _ = strconv.ParseUint(octal, 8, 64)
	}
	return code
}

// escapes finds an escape at the beginning of the rest of an expression.
var escapes = regexp.MustCompile(`^\\(?:x\{[0-9a-fA-F]*\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|(?s:.))`)

// token is a byte of an expression, an escape, or all of a quoted part.
type token struct {
	text    string
	inClass bool
}

// tokens cuts an expression that compiles into what a scanner has to tell apart: escapes, quotes and classes.
func tokens(expression string) iter.Seq[token] {
	return func(yield func(token) bool) {
		class := -1 // where the class began that we are in
		for i := 0; i < len(expression); {
			rest := expression[i:]
			t := token{text: rest[:1], inClass: class >= 0}
			switch {
			case strings.HasPrefix(rest, `\Q`) && class < 0:
				t.text, _, _ = strings.Cut(rest, `\E`)
			case rest[0] == '\\' && len(rest) > 1:
				t.text = escapes.FindString(rest)
			case strings.HasPrefix(rest, "[:") && class >= 0 && strings.Contains(rest[2:], ":]"):
				t.text = rest[:strings.Index(rest[2:], ":]")+4]
			case rest[0] == '[' && class < 0:
				class = i
			case rest[0] == ']' && class >= 0 && strings.TrimPrefix(expression[class+1:i], "^") != "":
				class = -1
			}
			if !yield(t) {
				return
			}
			i += len(t.text)
		}
	}
}
