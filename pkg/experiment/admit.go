package experiment

import (
	"context"
	"crypto/subtle"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TokenHeader is the metadata in which a comparator says its token, after [TokenScheme].
const (
	TokenHeader = "authorization"
	TokenScheme = "Bearer "
)

// admit refuses who does not know the token.
func (d *Desk) admit(ctx context.Context) error {
	if d.c.Token == "" {
		return nil
	}
	said := metadata.ValueFromIncomingContext(ctx, TokenHeader)
	if len(said) == 1 && subtle.ConstantTimeCompare([]byte(said[0]), []byte(TokenScheme+d.c.Token)) == 1 {
		return nil
	}
	what := "is another"
	if len(said) == 0 {
		what = "is missing"
	}
	return status.Errorf(codes.Unauthenticated, "the token of comparators %s; start it with --token-file, the file comparator.token in the data directory of the server", what)
}
