package eks

import "net/http"

// Transport shows the tokens of a source to a cluster with each request.
type Transport struct {
	Source *Source
	Next   http.RoundTripper
}

// RoundTrip sends a request with a token. Its error is a [*TokenError] if there is none.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.Source.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.Next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.Source.Refused(token)
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, to close its connections.
func (t *Transport) WrappedRoundTripper() http.RoundTripper { return t.Next }
