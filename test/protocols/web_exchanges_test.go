package protocols

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
)

// ways are the protocols between client and proxy, and between proxy and origin.
var ways = []struct {
	name, service string
	client2       bool
}{
	{"HTTP/1.1", overHTTP1, false},
	{"HTTP/2", overHTTP2, true},
	{"HTTP/1.1 to HTTP/2", overHTTP2, false},
	{"HTTP/2 to HTTP/1.1", overHTTP1, true},
}

// webExchanges are those of HTTP.
func webExchanges() []exchange {
	var out []exchange
	for _, way := range ways {
		add := func(name string, short bool, do func(context.Context, *peer, *http.Client) error) {
			out = append(out, exchange{name + ", " + way.name, way.service, short, func(ctx context.Context, p *peer) error {
				client := p.httpClient(way.client2)
				defer client.CloseIdleConnections()
				return do(ctx, p, client)
			}})
		}
		add("GET", true, ask{method: "GET"}.do)
		add("HEAD", true, ask{method: "HEAD"}.do)
		add("POST with a length", true, ask{method: "POST", body: 1000, length: true}.do)
		add("POST without a length", true, ask{method: "POST", body: 1000}.do)
		add("POST with trailers", true, ask{method: "POST", body: 1000, trailers: true}.do)
		add("answer with trailers", true, ask{method: "GET", query: "trailers=1"}.do)
		add("headers of 50 kB", true, ask{method: "GET", query: "head=50000", head: 50_000}.do)
		add("Expect: 100-continue", true, ask{method: "POST", body: 1000, length: true, expect: true}.do)
		add("upload", false, upload)
		add("download", false, func(ctx context.Context, p *peer, c *http.Client) error { return download(ctx, p, c, "&length=1") })
		add("download without a length", false, func(ctx context.Context, p *peer, c *http.Client) error { return download(ctx, p, c, "") })
		add("server-sent events", false, events)
		if way.client2 && way.service == overHTTP2 {
			add("both talk at once", false, talk)
		}
	}
	return append(out,
		exchange{"HTTP/1.0", overHTTP1, true, func(ctx context.Context, p *peer) error { return p.old(ctx, "") }},
		exchange{"HTTP/1.0 with keep-alive", overHTTP1, true, func(ctx context.Context, p *peer) error {
			return p.old(ctx, "Connection: keep-alive\r\n")
		}},
	)
}

// httpClient speaks one protocol to the peer.
func (p *peer) httpClient(two bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!two)
	protocols.SetUnencryptedHTTP2(two)
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		Protocols: protocols, DisableCompression: true, ExpectContinueTimeout: patience,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", p.address) },
	}}
}

func (p *peer) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, "http://"+p.host+path, body)
}

// ask is a short request.
type ask struct {
	method, query            string
	body                     int64
	head                     int
	length, trailers, expect bool
}

func (a ask) do(ctx context.Context, p *peer, c *http.Client) error {
	continued := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		if code == http.StatusContinue {
			continued++
		}
		return nil
	}})
	var body io.Reader
	if a.body > 0 {
		body = stuff(a.body)
	}
	req, err := p.request(ctx, a.method, "/echo?"+a.query, body)
	if err != nil {
		return err
	}
	if a.length {
		req.ContentLength = a.body
	}
	if a.trailers {
		req.Trailer = http.Header{"X-Sum": {"5678"}}
	}
	if a.expect {
		req.Header.Set("Expect", "100-continue")
	}
	if a.head > 0 {
		req.Header.Set("X-Large", strings.Repeat("x", a.head))
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	p.answer(resp)
	p.said(string(text))
	if a.expect {
		p.client("100 Continue", continued)
	}
	return nil
}

// answer notes the head and the trailers of an answer whose body is read.
func (p *peer) answer(resp *http.Response) {
	p.client("status", resp.StatusCode)
	p.client("version", resp.Proto)
	p.client("length", resp.ContentLength)
	for _, name := range []string{"content-type", "x-large"} {
		if v := resp.Header.Get(name); v != "" {
			p.client(name, brief(v))
		}
	}
	for name := range resp.Trailer {
		p.client("trailer "+strings.ToLower(name), resp.Trailer.Get(name))
	}
}

// halfway calls turn once when half of a body has gone through.
type halfway struct {
	io.Reader
	ctx  context.Context
	left int64
	turn func(context.Context) error
}

// Read reads.
func (h *halfway) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	before := h.left
	if h.left -= int64(n); before > 0 && h.left <= 0 {
		if err := h.turn(h.ctx); err != nil {
			return n, fmt.Errorf("halfway: %w", err)
		}
	}
	return n, err
}

func upload(ctx context.Context, p *peer, c *http.Client) error {
	req, err := p.request(ctx, "POST", "/echo", &halfway{stuff(large()), ctx, large() / 2, p.turn})
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	p.answer(resp)
	p.said(string(text))
	return err
}

func download(ctx context.Context, p *peer, c *http.Client, query string) error {
	req, err := p.request(ctx, "GET", fmt.Sprintf("/download?bytes=%d%s", large(), query), nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, &halfway{resp.Body, ctx, large() / 2, p.turn})
	p.answer(resp)
	p.client("bytes", n)
	p.client("sum", hex.EncodeToString(hash.Sum(nil)))
	return err
}

// events prompts for one event after the other: the next comes only if the one before has arrived.
func events(ctx context.Context, p *peer, c *http.Client) error {
	prompt := p.events.of(p.id)
	req, err := p.request(ctx, "GET", "/events?id="+p.id, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for i := range 6 {
		if i == 3 {
			if err := p.turn(ctx); err != nil {
				return err
			}
		}
		prompt <- struct{}{}
		for range 3 { // its lines
			line, err := r.ReadString('\n')
			if err != nil {
				return fmt.Errorf("event %d: %w", i+1, err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				p.client("event", strings.TrimSpace(data))
			}
		}
	}
	close(prompt)
	rest, err := io.ReadAll(r)
	p.answer(resp)
	p.client("rest", len(rest))
	return err
}

// talk sends a line and waits for it to come back, several times within one request.
func talk(ctx context.Context, p *peer, c *http.Client) error {
	out, in := io.Pipe()
	defer in.Close()
	req, err := p.request(ctx, "POST", "/talk", out)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for i := range 6 {
		if i == 3 {
			if err := p.turn(ctx); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(in, "line %d\n", i); err != nil {
			return err
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		p.client("line", strings.TrimSpace(line))
	}
	in.Close()
	rest, err := io.ReadAll(r)
	p.client("rest", len(rest))
	return err
}
