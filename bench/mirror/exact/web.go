package exact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// web asks by HTTP/1.1 or HTTP/2.
type web struct {
	target, host string
	bodies       uploads
	transport    *http.Transport
	conn         *http.ClientConn
	asked        uint64
}

// transport makes connections; [http.ClientConn] retries nothing.
func transport(p Protocol) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(p == HTTP1)
	protocols.SetUnencryptedHTTP2(p == HTTP2)
	return &http.Transport{Protocols: protocols, DisableCompression: true}
}

// Ask implements [Client].
func (c *web) Ask(ctx context.Context, a Ask) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return fault(err)
	}
	c.asked++
	nonce := strconv.FormatUint(c.asked, 10)
	req, err := c.request(ctx, a, nonce)
	if err != nil {
		return fault(err)
	}
	resp, err := conn.RoundTrip(req)
	if err != nil {
		c.Close()
		return fault(err)
	}
	err = c.held(resp, a, nonce)
	_ = resp.Body.Close()
	if err != nil {
		c.Close() // what is left on it belongs to nobody
	}
	return err
}

// connect returns the connection, a new one if the other side has closed it while nobody asked.
func (c *web) connect(ctx context.Context) (*http.ClientConn, error) {
	if c.conn != nil && c.conn.Err() == nil && c.conn.Reserve() == nil {
		return c.conn, nil
	}
	c.Close()
	conn, err := c.transport.NewClientConn(ctx, "http", c.target)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	return conn, conn.Reserve()
}

func (c *web) request(ctx context.Context, a Ask, nonce string) (*http.Request, error) {
	method, body, answer := http.MethodGet, io.Reader(http.NoBody), "bytes="+strconv.Itoa(a.Bytes)+"&"
	if a.Upload {
		method, body, answer = http.MethodPost, bytes.NewReader(c.bodies.of(a.Bytes).body), ""
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.target+"/sizes/"+strconv.Itoa(a.Bytes), body)
	if err != nil {
		return nil, err
	}
	req.Host = c.host
	req.Header.Set(origin.AnswerHeader, answer+"header=x-nonce:"+nonce)
	return req, nil
}

// held holds an answer against what was asked.
func (c *web) held(resp *http.Response, a Ask, nonce string) error {
	switch who := resp.Header.Get("x-origin"); {
	case resp.StatusCode != http.StatusOK:
		return fault(fmt.Errorf("status %d", resp.StatusCode))
	case who == "" || a.Origin != "" && who != a.Origin:
		return wrong("%q answered, not %q", who, a.Origin)
	case resp.Header.Get("x-nonce") != nonce:
		return wrong("an answer to request %q came to request %q", resp.Header.Get("x-nonce"), nonce)
	case a.Upload:
		return c.heldUpload(resp.Body, a)
	}
	return heldBody(resp.Body, a)
}

// heldBody holds a body against so many x.
func heldBody(body io.Reader, a Ask) error {
	piece, right := make([]byte, 64<<10), bytes.Repeat([]byte{'x'}, 64<<10)
	for n := 0; ; {
		got, err := body.Read(piece)
		if !bytes.Equal(piece[:got], right[:got]) {
			return wrong("among bytes %d to %d of %d are some that are not the origin's", n, n+got, a.Bytes)
		}
		n += got
		switch {
		case errors.Is(err, io.EOF) && n < a.Bytes:
			return &Fault{Truncated, fmt.Errorf("%d of %d bytes", n, a.Bytes)}
		case errors.Is(err, io.EOF) && n > a.Bytes:
			return wrong("%d bytes instead of %d", n, a.Bytes)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fault(fmt.Errorf("after %d of %d bytes: %w", n, a.Bytes, err))
		}
	}
}

// heldUpload reads what the origin says it got.
func (c *web) heldUpload(body io.Reader, a Ask) error {
	all, err := io.ReadAll(body)
	if err != nil {
		return fault(err)
	}
	var echo origin.Echo
	if err := json.Unmarshal(all, &echo); err != nil {
		return wrong("no echo: %w", err)
	}
	if echo.BodyBytes != int64(a.Bytes) {
		return &Fault{Truncated, fmt.Errorf("%d of %d bytes arrived", echo.BodyBytes, a.Bytes)}
	}
	if a.Bytes > 0 && echo.BodySHA256 != c.bodies.of(a.Bytes).sum {
		return wrong("other bytes arrived")
	}
	return nil
}

// Close implements [Client].
func (c *web) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
