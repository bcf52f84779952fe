// Package name tells names from values. The name of a field, a header or a path segment is shape, and may be shown; but services also use
// what is somebody's (an account, an address, a token) as a key of an object or a segment of a path. What does not look like a name that
// a programmer chose is never shown.
package name

// MaxBytes is the length of the longest name. Longer ones are values.
const MaxBytes = 40

// maxDigits is how many digits a name may have: sha256 and x509 are names, 20240131 is not.
const maxDigits = 3

// Like says that s looks like a name: it begins with a letter, _, $ or @, goes on with letters, digits and _ - . : $ of ASCII, has no more
// than 40 bytes and three digits, and none of its words reads like a hash or a token: digits in two places, or nothing but hexadecimal ones.
func Like(s []byte) bool { return like(s) }

// LikeString is [Like] for a string.
func LikeString(s string) bool { return like(s) }

func like[T []byte | string](s T) bool {
	if len(s) == 0 || len(s) > MaxBytes || isDigit(s[0]) || isMark(s[0]) && s[0] != '_' && s[0] != '$' {
		return false
	}
	digits := 0
	var w word
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isDigit(c):
			digits++
		case c == '@' && i == 0, c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case isMark(c):
			if w.token() {
				return false
			}
			w = word{}
			continue
		default:
			return false
		}
		w.add(c)
	}
	return digits <= maxDigits && !w.token()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isMark(c byte) bool { return c == '_' || c == '-' || c == '.' || c == ':' || c == '$' }

// word is what is between two marks.
type word struct {
	length, groups int
	digit, other   bool // the last one was a digit; there was one that is not hexadecimal
}

func (w *word) add(c byte) {
	w.length++
	if isDigit(c) && !w.digit {
		w.groups++
	}
	w.digit = isDigit(c)
	if lower := c | 0x20; !w.digit && (lower < 'a' || lower > 'f') {
		w.other = true
	}
}

// token says that a word reads like a hash or a token.
func (w *word) token() bool {
	return w.length >= 6 && (w.groups >= 2 || w.groups == 1 && !w.other)
}
