package promql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is how long an answer may be, in bytes. One number needs a hundred.
const maxAnswer = 4 << 20

var (
	errLong   = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	errDenied = errors.New("401 Unauthorized")
)

// redirected is an answer that redirects.
type redirected int

func (r redirected) Error() string {
	return fmt.Sprintf("%d %s", int(r), http.StatusText(int(r)))
}

type tokenKey struct{}

// withToken gives a request its token, by the only way through the client.
func withToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// transport puts the token into requests and bounds what is read of answers, which the client reads whole.
type transport struct{ next http.RoundTripper }

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if token, _ := req.Context().Value(tokenKey{}).(string); token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		resp.Body.Close()
		return nil, errDenied
	case resp.StatusCode/100 == 3: // http.Client would follow it, and send the token there
		resp.Body.Close()
		return nil, redirected(resp.StatusCode)
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	return resp, nil
}

// bounded is a body that ends with an error where it becomes too long.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errLong
	}
	b.left -= n
	return n, err
}
