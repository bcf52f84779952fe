package eks

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// renewBefore is how long before its end a token is replaced. While that fails, the old one is used to its end.
const renewBefore = 4 * time.Minute

// Source keeps a token that is valid. Its methods may be called from several goroutines; one of them signs, the others wait for it.
type Source struct {
	sign func(context.Context, time.Time) (Token, error)
	now  func() time.Time

	mu    sync.Mutex
	token Token
}

// NewSource returns a source of the tokens of a signer.
func NewSource(s *Signer) *Source { return &Source{sign: s.Sign, now: time.Now} }

// Token returns a token that is valid now.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.token.Value != "" && now.Before(s.token.Expires.Add(-renewBefore)) {
		return s.token.Value, nil
	}
	next, err := s.sign(ctx, now)
	switch {
	case err == nil:
		s.token = next
	case s.token.Value == "":
		return "", &TokenError{err}
	case !now.Before(s.token.Expires):
		return "", &TokenError{fmt.Errorf("the last token expired at %s: %w", s.token.Expires.UTC().Format(time.RFC3339), err)}
	}
	return s.token.Value, nil
}

// Refused says that the cluster refused a token: the next one is signed anew, with credentials that may have changed.
func (s *Source) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token.Value == token {
		s.token = Token{}
	}
}

// TokenError says why there is no token.
type TokenError struct{ err error }

// Error gives the reason.
func (e *TokenError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *TokenError) Unwrap() error { return e.err }
