package server

// For the tests of this package.
var NewToken = newToken

// ReadToken reads a page token.
func ReadToken(token, list string) (string, error) {
	var p problems
	last := p.token(token, list)
	return last, p.Err()
}

// Who is who.
var Who = who

// Unread is how many messages are remembered that could not be read.
func (a *API) Unread() (n int) {
	a.codec.broken.Range(func(any, any) bool { n++; return true })
	return n
}
