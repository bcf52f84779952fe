package origin

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

func isWebSocket(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("upgrade"), "websocket")
}

// webSocket sends every message back until the other side closes.
func (x *exchange1) webSocket() {
	w := &handshake{x: x, header: http.Header{"X-Origin": {x.o.name}}}
	ws, err := websocket.Accept(w, x.req, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		_ = x.w.Flush() // the refusal has been written
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ctx := context.Background() // the connection ends with the origin
	for {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return
		}
		if err := ws.Write(ctx, kind, message); err != nil {
			return
		}
	}
}

// handshake is the http.ResponseWriter that the handshake needs.
type handshake struct {
	x      *exchange1
	header http.Header
	wrote  bool
}

// Header is what will be sent.
func (h *handshake) Header() http.Header { return h.header }

// WriteHeader writes the head of the answer.
func (h *handshake) WriteHeader(status int) {
	if h.wrote {
		return
	}
	h.wrote = true
	h.x.w.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	if status != http.StatusSwitchingProtocols {
		h.header.Set("Connection", "close")
	}
	_ = h.header.Write(h.x.w)
	h.x.w.WriteString("\r\n")
}

// Write writes the reason of a refusal.
func (h *handshake) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.x.w.Write(p)
}

// Hijack hands the connection over.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := h.x.w.Flush(); err != nil {
		return nil, nil, err
	}
	return h.x.conn, bufio.NewReadWriter(h.x.r, h.x.w), nil
}
