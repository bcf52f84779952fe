package experiment

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestWorkIsForThoseWhoKnowTheToken: others get no key, no identity and no copy.
func TestWorkIsForThoseWhoKnowTheToken(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	w := newWorld(t, "", func(c *Config) { c.Token = token })
	w.run(nil)
	for name, says := range map[string]metadata.MD{
		"nothing":     nil,
		"another":     metadata.Pairs(TokenHeader, TokenScheme+strings.Repeat("0", len(token))),
		"part of it":  metadata.Pairs(TokenHeader, TokenScheme+token[:31]),
		"more":        metadata.Pairs(TokenHeader, TokenScheme+token+"0"),
		"no scheme":   metadata.Pairs(TokenHeader, token),
		"none":        metadata.Pairs(TokenHeader, TokenScheme),
		"two of them": metadata.Pairs(TokenHeader, TokenScheme+token, TokenHeader, TokenScheme+"x"),
	} {
		s := newFakeStream(metadata.NewIncomingContext(t.Context(), says))
		err := w.desk.Work(s)
		if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "--token-file") || strings.Contains(err.Error(), token[:16]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.desk.sessions) > 0 || w.desk.streams > 0 {
		t.Errorf("%d sessions, %d streams", len(w.desk.sessions), w.desk.streams)
	}
	if said := w.log.takes(); strings.Count(said, "is refused") != 1 || strings.Contains(said, token[:16]) {
		t.Errorf("said %s", said)
	}
	s := newFakeStream(metadata.NewIncomingContext(t.Context(), metadata.Pairs(TokenHeader, TokenScheme+token)))
	ended := make(chan error, 1)
	go func() { ended <- w.desk.Work(s) }()
	s.says <- &crossfadev1.WorkRequest{Message: &crossfadev1.WorkRequest_Hello{Hello: &crossfadev1.ComparatorHello{Instance: "one", Address: "127.0.0.1:1"}}}
	if got := (<-s.sent).GetRuns(); len(got) != 1 || len(got[0].GetKey()) != keyBytes {
		t.Errorf("orders %v", got)
	}
	s.says <- &crossfadev1.WorkRequest{}
	if err := <-ended; status.Code(err) != codes.InvalidArgument {
		t.Error(fmt.Errorf("the stream: %w", err))
	}
}
