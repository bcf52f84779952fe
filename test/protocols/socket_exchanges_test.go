package protocols

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// socketExchanges are those of WebSocket, over HTTP/1.1.
func socketExchanges() []exchange {
	var out []exchange
	add := func(name string, do func(context.Context, *peer, *websocket.Conn) error) {
		out = append(out, exchange{name, overHTTP1, false, func(ctx context.Context, p *peer) error {
			ws, err := p.socket(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = ws.CloseNow() }()
			return do(ctx, p, ws)
		}})
	}
	add("messages both ways", messages)
	add("messages of 4 MB", func(ctx context.Context, p *peer, ws *websocket.Conn) error {
		for i := range 4 {
			if i == 2 {
				if err := p.turn(ctx); err != nil {
					return err
				}
			}
			if err := p.exchange(ctx, ws, websocket.MessageBinary, 4<<20); err != nil {
				return err
			}
		}
		return nil
	})
	add("ping and pong", func(ctx context.Context, p *peer, ws *websocket.Conn) error {
		ctx = ws.CloseRead(ctx) // something has to read the pong
		for _, middle := range []bool{false, true, false} {
			if middle {
				if err := p.turn(ctx); err != nil {
					return err
				}
			}
			if err := ws.Ping(ctx); err != nil {
				return err
			}
			p.client("pong", true)
		}
		return nil
	})
	add("closed by the client", func(ctx context.Context, p *peer, ws *websocket.Conn) error {
		if err := p.turn(ctx); err != nil {
			return err
		}
		p.client("answer to close", ws.Close(4001, "bye"))
		return nil
	})
	add("closed by the application", func(ctx context.Context, p *peer, ws *websocket.Conn) error { return p.closed(ctx, ws, "close") })
	add("application gone without a word", func(ctx context.Context, p *peer, ws *websocket.Conn) error { return p.closed(ctx, ws, "gone") })
	return append(out, exchange{"half-closed by the client", overHTTP1, false, halfClosed})
}

// socket opens one.
func (p *peer) socket(ctx context.Context) (*websocket.Conn, error) {
	client := p.httpClient(false)
	ws, resp, err := websocket.Dial(ctx, "ws://"+p.host+"/socket", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"chat.v1", "chat.v2"}})
	if err != nil {
		return nil, err
	}
	p.client("status", resp.StatusCode)
	p.client("subprotocol", ws.Subprotocol())
	ws.SetReadLimit(8 << 20)
	return ws, nil
}

// exchange sends a message of so many bytes and notes what comes back.
func (p *peer) exchange(ctx context.Context, ws *websocket.Conn, kind websocket.MessageType, size int64) error {
	message, err := io.ReadAll(stuff(size))
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- ws.Write(ctx, kind, message) }()
	got, back, err := ws.Read(ctx)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	p.client("message", fmt.Sprintf("%v of %d bytes, %.8x", got, len(back), sha256.Sum256(back)))
	return nil
}

func messages(ctx context.Context, p *peer, ws *websocket.Conn) error {
	for i := range 6 {
		if i == 3 {
			if err := p.turn(ctx); err != nil {
				return err
			}
		}
		if err := p.exchange(ctx, ws, websocket.MessageBinary, int64(i*100)); err != nil {
			return err
		}
	}
	p.client("answer to close", ws.Close(websocket.StatusNormalClosure, ""))
	return nil
}

// closed asks the application to end, and notes how that looks.
func (p *peer) closed(ctx context.Context, ws *websocket.Conn, word string) error {
	if err := p.turn(ctx); err != nil {
		return err
	}
	if err := ws.Write(ctx, websocket.MessageText, []byte(word)); err != nil {
		return err
	}
	_, _, err := ws.Read(ctx)
	var close websocket.CloseError
	switch {
	case errors.As(err, &close):
		p.client("close", fmt.Sprintf("%d %s", close.Code, close.Reason))
	case errors.Is(err, io.EOF):
		p.client("close", "the connection ends")
	default:
		return err
	}
	return nil
}

// halfClosed ends one direction and reads what the other still says.
func halfClosed(ctx context.Context, p *peer) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET /raw HTTP/1.1\r\nHost: "+p.host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	p.client("status", resp.StatusCode)
	if err := p.turn(ctx); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	p.client("line", strings.TrimSpace(line))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p.client("rest", strings.TrimSpace(string(rest)))
	return nil
}
