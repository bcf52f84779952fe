package loadgen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// client1 is one HTTP/1.1 connection. It is not net/http's client, because that retries by itself and hides failures.
type client1 struct {
	target string
	conn   *net.TCPConn
	r      *bufio.Reader
	w      *bufio.Writer
}

func (c *client1) do(ctx context.Context, req Request, deadline time.Duration) (answer, error) {
	if c.conn != nil && gone(c.conn) {
		c.close()
	}
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return answer{}, err
		}
	}
	sent := monotime.Now()
	if err := c.conn.SetDeadline(time.Now().Add(deadline - sent)); err != nil {
		return answer{}, err
	}
	a, err := c.exchange(req)
	a.sent = sent
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *client1) dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.target)
	if err != nil {
		return err
	}
	c.conn = conn.(*net.TCPConn)
	c.r, c.w = bufio.NewReader(conn), bufio.NewWriter(conn)
	return nil
}

// exchange sends a request and reads its answer.
func (c *client1) exchange(req Request) (answer, error) {
	method := orElse(req.Method, http.MethodGet)
	c.write(method, req)
	if err := c.w.Flush(); err != nil {
		return answer{}, err
	}
	resp, err := c.response(method)
	if err != nil {
		return answer{}, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return answer{}, err
	}
	if resp.Close {
		c.close()
	}
	return answer{status: resp.StatusCode, origin: resp.Header.Get("x-origin"), grpc: resp.Header.Get("grpc-status")}, nil
}

// response reads the head of the final answer.
func (c *client1) response(method string) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

func (c *client1) write(method string, req Request) {
	c.w.WriteString(method + " " + orElse(req.Path, "/") + " HTTP/1.1\r\nHost: " + orElse(req.Host, c.target) + "\r\n")
	for _, h := range req.Header {
		c.w.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if len(req.Body) > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		c.w.WriteString("Content-Length: " + strconv.Itoa(len(req.Body)) + "\r\n")
	}
	c.w.WriteString("\r\n")
	_, _ = c.w.Write(req.Body) // an error shows at Flush
}

func (c *client1) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// gone is true for an idle connection on which something has arrived: its end, or what nobody asked for.
func gone(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	arrived := true
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		arrived = !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err != nil || arrived
}
