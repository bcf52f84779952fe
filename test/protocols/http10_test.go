package protocols

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// old has two conversations of HTTP/1.0, on one connection if that stays.
func (p *peer) old(ctx context.Context, header string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "POST /echo HTTP/1.0\r\nHost: "+p.host+"\r\nContent-Length: 5\r\n"+header+"\r\nhello"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		p.answer(resp)
		p.client("connection", resp.Header.Get("connection"))
		p.said(string(text))
		if resp.Close {
			_, err := r.ReadByte()
			p.client("then", map[bool]string{true: "the end", false: "more"}[errors.Is(err, io.EOF)])
			return nil
		}
	}
	return nil
}
