package semantics

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// client sends requests byte by byte as they are, one after another, on one connection per port and peer.
type client struct {
	fleet    *fleet
	conns    map[place]*conn
	patience time.Duration // for one answer
}

// place is where a connection goes and where it comes from.
type place struct {
	port int
	peer string
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

// answer is what came back.
type answer struct {
	status  int
	origin  string // "SERVICE/ORIGIN"; of an answer of the proxy's own, where it would have sent the request, if anywhere
	byProxy bool
	code    string // of the proxy's own answer
	cookies []*http.Cookie
	echo    origin.Echo // what the origin saw
}

func newClient(f *fleet) *client {
	return &client{fleet: f, conns: map[place]*conn{}, patience: patience}
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = map[place]*conn{}
}

// do sends a request and reads its answer, which is an echo of ours or an error of the proxy's.
func (c *client) do(q policy.Request) (answer, error) {
	resp, body, err := c.ask(q)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, origin: resp.Header.Get("x-origin"), cookies: resp.Cookies()}
	if a.origin == "" {
		return a, a.readOwn(body)
	}
	return a, json.Unmarshal(body, &a.echo)
}

// ask sends a request and reads any answer.
func (c *client) ask(q policy.Request) (*http.Response, []byte, error) {
	at := place{q.Port, q.ClientAddress}
	conn, err := c.conn(at)
	if err != nil {
		return nil, nil, err
	}
	resp, body, err := conn.exchange(q, c.patience)
	if err != nil || resp.Close {
		conn.Close()
		delete(c.conns, at)
	}
	return resp, body, err
}

// conn connects from the peer's address, or says it in a PROXY protocol header if the fleet wants one.
func (c *client) conn(at place) (*conn, error) {
	if known, ok := c.conns[at]; ok {
		return known, nil
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	if !c.fleet.settings.ProxyProtocol {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(at.peer)}
	}
	tcp, err := d.Dial("tcp", net.JoinHostPort(c.fleet.host, fmt.Sprint(at.port)))
	if err != nil {
		return nil, err
	}
	if c.fleet.settings.ProxyProtocol {
		if _, err := io.WriteString(tcp, proxyLine(at)); err != nil {
			tcp.Close()
			return nil, err
		}
	}
	c.conns[at] = &conn{tcp, bufio.NewReader(tcp)}
	return c.conns[at], nil
}

func proxyLine(at place) string {
	family, to := "TCP4", "10.0.0.1"
	if ip, err := netip.ParseAddr(at.peer); err == nil && ip.Is6() {
		family, to = "TCP6", "fd00::1"
	}
	return fmt.Sprintf("PROXY %s %s %s 5000 %d\r\n", family, at.peer, to, at.port)
}

// text is a request as it is sent.
func text(q policy.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", q.Path, q.Host)
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	b.WriteString("\r\n")
	return b.String()
}

func (c *conn) exchange(q policy.Request, patience time.Duration) (*http.Response, []byte, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(c, text(q)); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// readOwn reads the body of an answer of the proxy's own.
func (a *answer) readOwn(body []byte) error {
	var own struct {
		Error struct{ Code, Service, Origin string }
	}
	if err := json.Unmarshal(body, &own); err != nil {
		return fmt.Errorf("status %d, %q: %w", a.status, body, err)
	}
	a.byProxy, a.code = true, own.Error.Code
	if own.Error.Origin != "" {
		a.origin = policy.ClusterName(own.Error.Service, own.Error.Origin)
	}
	return nil
}
