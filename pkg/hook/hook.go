package hook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// DefaultTimeout is how long an event may take, from the look-up of the name to the end of the answer.
const DefaultTimeout = 10 * time.Second

// Bounds of what is read and shown of an answer, and of connections.
const (
	maxAnswer  = 4 << 10 // bytes
	maxShown   = 200     // bytes
	maxHeaders = 64 << 10
	maxPerHost = 16
	maxIdle    = 4 // per host
)

// Config says which webhooks may be called, and how.
type Config struct {
	Allow    []string       // the URLs that may be called, by prefix; none: no webhook may
	Key      Key            // signs events; needed where something is allowed
	Timeout  time.Duration  // of one try; 0: DefaultTimeout
	Roots    *x509.CertPool // nil: the system's
	Resolver *net.Resolver  // nil: the system's
	Log      *slog.Logger   // nil: none
}

// Hooks calls webhooks. It is the engine's port; its methods may be called from several goroutines.
type Hooks struct {
	allowed   []target
	names     []string // of allowed, as they were written
	key       Key
	timeout   time.Duration
	transport *http.Transport
	client    *http.Client
	log       *slog.Logger
}

// New checks a configuration. Its errors are [policy.Error]s.
func New(c Config) (*Hooks, error) {
	h := &Hooks{names: c.Allow, key: c.Key, timeout: cmp.Or(c.Timeout, DefaultTimeout), log: c.Log}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if len(c.Allow) > 0 && (len(c.Key) < minKey || len(c.Key) > maxKey) {
		return nil, policy.InvalidField("hooks.keyFile", "hook_key", "", fmt.Sprintf("a key has %d to %d bytes", minKey, maxKey), "make a key: echo "+keyPrefix+"$(openssl rand -base64 32) > hook.key")
	}
	for i, text := range c.Allow {
		t, err := parse(text)
		if err == nil && strings.Contains(text, "?") {
			err = errors.New("has a query, which the beginning of URLs has not")
		}
		if err != nil {
			return nil, policy.InvalidField(fmt.Sprintf("hooks.allow[%d]", i), "hook_url", "", err.Error(), "write for example https://hooks.test/crossfade")
		}
		h.allowed = append(h.allowed, t)
	}
	h.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial(c.Resolver), ForceAttemptHTTP2: true,
		TLSClientConfig:    &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		DisableCompression: true, MaxResponseHeaderBytes: maxHeaders,
		MaxConnsPerHost: maxPerHost, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: 90 * time.Second,
	}
	h.client = &http.Client{Transport: h.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return h, nil
}

// dial connects to what [guard] lets pass.
func dial(r *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Resolver: r, Control: guard(isLoopback(strings.ToLower(host)))}
		return d.DialContext(ctx, network, address)
	}
}

// Close closes connections that are kept for the next event. Whoever calls it has ended all calls of Ask.
func (h *Hooks) Close() { h.transport.CloseIdleConnections() }

// Ask posts an event, once, and returns nil if it was agreed to. Another try is another call with the same event. An error of the webhook
// is a [policy.Error] whose sentence says what it answered; if ctx ends, it is the cause of that.
func (h *Hooks) Ask(ctx context.Context, to string, e engine.Event) error {
	if err := h.Allowed(to); err != nil {
		return err
	}
	body, err := encode(e)
	if err != nil {
		return fmt.Errorf("writing event %s: %w", e.ID, err)
	}
	try, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(try, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL of the webhook cannot be called") // its own sentence would show the URL
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header = http.Header{
		"Content-Type": {contentType}, "User-Agent": {"crossfade"},
		"Webhook-Id": {e.ID}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {h.key.sign(e.ID, timestamp, body)},
	}
	begun := time.Now()
	err = h.post(req)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("asking %s: %w", req.URL.Host, context.Cause(ctx))
	}
	h.log.Debug("told a webhook", "host", req.URL.Host, "event", e.ID, "type", e.Type, "took", time.Since(begun), "error", err)
	return err
}

// post sends a request and reads the answer.
func (h *Hooks) post(req *http.Request) error {
	resp, err := h.client.Do(req)
	if err != nil {
		return h.failed(req, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status is the answer, also if the end of its text is missing
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode/100 == 3:
		return refusal("hook_redirect", fmt.Sprintf("%s answered %s, and redirects are not followed", req.URL.Host, status(resp)), "write the URL that it redirects to, if that is allowed")
	}
	said := ""
	if shown := printable(text); shown != "" {
		said = ": " + shown
	}
	return refusal("hook_refused", fmt.Sprintf("%s answered %s%s", req.URL.Host, status(resp), said), "")
}

// failed says what went wrong before there was an answer.
func (h *Hooks) failed(req *http.Request, err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // u itself shows the URL
	}
	switch {
	case req.Context().Err() != nil:
		return refusal("hook_slow", fmt.Sprintf("%s did not answer within %s", req.URL.Host, h.timeout), "")
	case errors.Is(err, errInside):
		return refusal("hook_not_allowed", fmt.Sprintf("%s is not called: %s", req.URL.Host, printable([]byte(err.Error()))), "look at what the name resolves to")
	}
	return refusal("hook_unreachable", fmt.Sprintf("%s cannot be asked: %s", req.URL.Host, printable([]byte(err.Error()))), "")
}

func refusal(code, message, next string) error {
	return &policy.Error{Kind: policy.Unavailable, Code: code, Message: message, Next: next}
}

// status is the number and its meaning, never the server's own words.
func status(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// printable makes one short line of a text: what cannot be printed becomes a space, and spaces become one.
func printable(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(text))
	clean = strings.Join(strings.Fields(clean), " ")
	if len(clean) <= maxShown {
		return clean
	}
	cut := maxShown - len("…")
	return strings.ToValidUTF8(clean[:cut], "") + "…"
}
