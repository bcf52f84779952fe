package translate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// wire is an HTTP/1.1 origin that keeps the bytes of the request it saw last and answers with given ones.
type wire struct {
	address netip.AddrPort
	mu      sync.Mutex
	saw     string
	answer  string
}

const wireAnswer = "HTTP/1.1 200 Fine Thanks\r\nServer: app/1\r\nX-CamelCase: v\r\nX-Envoy-Foo: kept\r\nDate: today\r\nContent-Length: 2\r\n\r\nok"

func startWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: netip.MustParseAddrPort(l.Addr().String()), answer: wireAnswer}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait() // Envoy has ended before: it was started later
	})
	return w
}

func (w *wire) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		req, err := readRequest(r)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.saw = req
		answer := w.answer
		w.mu.Unlock()
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
		if strings.HasPrefix(answer, "HTTP/1.1 101") {
			io.Copy(c, r)
			return
		}
	}
}

// readRequest reads a head and a body with a declared length.
func readRequest(r *bufio.Reader) (string, error) {
	var b strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		b.WriteString(line)
		if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length:"); ok {
			if _, err := fmt.Sscan(v, &length); err != nil {
				return "", err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	b.Write(body)
	return b.String(), err
}

// ask sends text through Envoy and returns what the origin saw ("" if nothing) and what the client got.
func (w *wire) ask(t *testing.T, address, text string) (saw, got string) {
	t.Helper()
	w.mu.Lock()
	w.saw = ""
	w.mu.Unlock()
	got = raw(t, address, text)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw, got
}
