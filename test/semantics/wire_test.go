package semantics

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// wire is an origin of bytes: it keeps requests as they came and answers with given text, whatever the request.
type wire struct {
	address string

	mu     sync.Mutex
	saw    []message
	answer []string        // pieces
	next   chan struct{}   // lets the next piece go
	done   <-chan struct{} // of the test
}

func startWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String(), answer: []string{fine}, done: t.Context().Done()}
	open := map[net.Conn]bool{}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			open[c] = true
			w.mu.Unlock()
			conns.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for c := range open {
			c.Close()
		}
		w.mu.Unlock()
		conns.Wait()
	})
	return w
}

// expect forgets what was seen and answers with these pieces from now on. Each but the first waits for a token.
func (w *wire) expect(answer []string) (next chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw, w.answer, w.next = nil, answer, make(chan struct{}, len(answer))
	return w.next
}

// seen returns the requests since expect.
func (w *wire) seen() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw
}

func (w *wire) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readHead(r)
		if err != nil {
			return
		}
		if m.get("expect") == "100-continue" {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		bodyErr := m.readBody(r, false)
		w.mu.Lock()
		w.saw = append(w.saw, m)
		answer, next := w.answer, w.next
		w.mu.Unlock()
		if bodyErr != nil || !w.write(c, m, answer, next) {
			return
		}
		if strings.HasPrefix(answer[0], "HTTP/1.1 101") {
			_, _ = io.Copy(c, r)
			return
		}
	}
}

// write answers, and says whether the connection goes on.
func (w *wire) write(c net.Conn, request message, answer []string, next <-chan struct{}) bool {
	closing := request.get("connection") == "close"
	for i, piece := range answer {
		if i > 0 {
			select {
			case <-next:
			case <-w.done:
				return false
			}
		}
		if closing && i == 0 {
			piece = strings.Replace(piece, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
		}
		if _, err := io.WriteString(c, piece); err != nil {
			return false
		}
	}
	text := strings.ToLower(answer[0])
	lengthless := !strings.Contains(text, "content-length:") && !strings.Contains(text, "chunked") &&
		!strings.Contains(text, " 204 ") && !strings.Contains(text, " 304 ") && !strings.Contains(text, " 101 ")
	return !closing && !lengthless && !strings.Contains(text, "connection: close") && !strings.HasPrefix(text, "http/1.0")
}
