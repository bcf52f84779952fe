package promql

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// DefaultTimeout is how long a server may take for an answer.
const DefaultTimeout = 5 * time.Second

// Bounds of what is read and of connections.
const (
	maxFile       = 1 << 20  // bytes of a file of certificates
	maxToken      = 16 << 10 // bytes of a token
	maxHeaders    = 64 << 10
	maxConns      = 16 // to a server
	maxIdle       = 4
	idleTimeout   = 90 * time.Second
	settingsField = "prometheus[%d].%s"
)

// Server is a Prometheus, or something that answers like one.
type Server struct {
	Name            string // by which guards call it
	URL             string // without "/api/v1"
	BearerTokenFile string // read for each query, so that it may be replaced; empty: no token is sent
	CAFile          string // certificates to trust, in PEM, read once; empty: the system's
	Timeout         time.Duration
}

// Config says which servers there are.
type Config struct {
	Servers []Server
}

// Queries asks the servers of the settings. It is the engine's port; its methods may be called from several goroutines.
type Queries struct {
	servers map[string]*server
	names   []string // in the order of the settings
}

type server struct {
	Server
	api       v1.API
	transport *http.Transport
}

// New checks a configuration; it asks nobody. Its errors are [policy.Error]s.
func New(c Config) (*Queries, error) {
	q := &Queries{servers: map[string]*server{}}
	for i, s := range c.Servers {
		bad := func(field, code, message, next string) error {
			return policy.InvalidField(fmt.Sprintf(settingsField, i, field), code, "", message, next)
		}
		u, err := url.Parse(s.URL)
		switch {
		case !policy.ValidName(s.Name):
			return nil, bad("name", "bad_name", "a server needs a name of lower-case letters, digits and dashes", "")
		case q.servers[s.Name] != nil:
			return nil, bad("name", "duplicate_name", "two servers have this name", "")
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			return nil, bad("url", "bad_url", "must be the URL of a Prometheus, without user, password or query", "write for example http://prometheus.test:9090; a token goes into bearerTokenFile")
		}
		roots, err := certificates(s.CAFile)
		if err != nil {
			return nil, bad("caFile", "bad_file", err.Error(), "name a file of certificates in PEM")
		}
		one, err := open(s, roots)
		if err != nil {
			return nil, bad("url", "bad_url", "cannot be asked", "")
		}
		q.servers[s.Name], q.names = one, append(q.names, s.Name)
	}
	return q, nil
}

// open makes the client of a server.
func open(s Server, roots *x509.CertPool) (*server, error) {
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: maxHeaders, MaxConnsPerHost: maxConns, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout,
	}
	client, err := api.NewClient(api.Config{Address: s.URL, RoundTripper: &transport{next: t}})
	if err != nil {
		return nil, err
	}
	return &server{Server: s, api: v1.NewAPI(client), transport: t}, nil
}

// certificates reads a file of them. Nil: the system's.
func certificates(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := read(path, maxFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate")
	}
	return pool, nil
}

// read reads a file that is not longer than most. Its errors do not show what is in it.
func read(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("is longer than %d bytes", most)
	}
	return text, nil
}

// Close closes connections that are kept for the next query. Whoever calls it has ended all calls of Ask.
func (q *Queries) Close() {
	for _, s := range q.servers {
		s.transport.CloseIdleConnections()
	}
}

// Known says whether the settings have a server of this name. The error is a [policy.Error] that names those that there are.
func (q *Queries) Known(name string) error {
	if q.servers[name] != nil {
		return nil
	}
	if len(q.names) == 0 {
		return policy.InvalidField("", "server_unknown", name, "the server's settings have no Prometheus", "add prometheus to them, or remove the guard")
	}
	return policy.InvalidField("", "server_unknown", name, "the server's settings have no Prometheus of this name", "they have "+strings.Join(q.names, ", "))
}

// Ask returns the one number of an answer as of a time; the zero time is now by the clock of the server, which wants no clock to agree with
// another. Ok is false where there is no number, and why says why. With a number, why is what the server warns of, or empty: for example
// that not all of its parts have answered. An error is a [policy.Error], unless ctx ends: then it is the cause of that. Without an answer
// nothing is asked again.
func (q *Queries) Ask(ctx context.Context, name, query string, at time.Time) (value float64, ok bool, why string, err error) {
	if err := q.Known(name); err != nil {
		return 0, false, "", err
	}
	s := q.servers[name]
	token, err := s.token()
	if err != nil {
		return 0, false, "", s.fail("prometheus_token", "the file of the token "+err.Error(), "look at bearerTokenFile in the settings")
	}
	try, cancel := context.WithTimeout(withToken(ctx, token), s.Timeout)
	defer cancel()
	answer, warnings, _, err := s.api.Query(try, query, at, v1.WithTimeout(s.Timeout))
	switch {
	case err == nil:
		return s.number(answer, warnings)
	case ctx.Err() != nil:
		return 0, false, "", fmt.Errorf("asking Prometheus %s: %w", name, context.Cause(ctx))
	case try.Err() != nil:
		return 0, false, "", s.fail("prometheus_slow", fmt.Sprintf("did not answer within %s", s.Timeout), "take a query that costs less, or a recording rule")
	}
	return 0, false, "", s.explain(err, token)
}

// token reads the token of a server; empty: there is none. No error of it shows what is in the file.
func (s *server) token() (string, error) {
	if s.BearerTokenFile == "" {
		return "", nil
	}
	text, err := read(s.BearerTokenFile, maxToken)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || slices.ContainsFunc([]byte(token), func(b byte) bool { return b <= ' ' || b > '~' }) {
		return "", errors.New("holds no token")
	}
	return token, nil
}
