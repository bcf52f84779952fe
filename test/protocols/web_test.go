package protocols

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// webOrigin is an application of HTTP/1 and HTTP/2 in clear text on two addresses, which tells in its answers what it saw.
type webOrigin struct {
	at     []string
	events *prompts
}

// prompts are the prompts of streams of events, by id, for all origins: who asks need not know where a stream is.
type prompts struct {
	mu   sync.Mutex
	byID map[string]chan struct{}
}

func (p *prompts) of(id string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[id] == nil {
		p.byID[id] = make(chan struct{}, 1)
	}
	return p.byID[id]
}

func startWeb(t *testing.T, name string, events *prompts) *webOrigin {
	t.Helper()
	o := &webOrigin{events: events}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", o.echo)
	mux.HandleFunc("/download", o.download)
	mux.HandleFunc("/events", o.tell)
	mux.HandleFunc("/talk", o.talk)
	mux.HandleFunc("/socket", o.socket)
	mux.HandleFunc("/raw", o.raw)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, MaxHeaderBytes: 1 << 20, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("x-origin", name)
		mux.ServeHTTP(rw, req)
	})}
	o.at = serve(t, s.Serve, s.Close)
	return o
}

// serve serves on two addresses until the test ends.
func serve(t *testing.T, serve func(net.Listener) error, stop func() error) (at []string) {
	t.Helper()
	var serving sync.WaitGroup
	for range 2 {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, l.Addr().String())
		serving.Go(func() { _ = serve(l) })
	}
	t.Cleanup(func() {
		_ = stop()
		serving.Wait()
	})
	return at
}

// echo answers with what arrived: a line for each thing, as "name: value". Ask by query: trailers=1 to send trailers, head=N a header of N bytes.
func (o *webOrigin) echo(rw http.ResponseWriter, req *http.Request) {
	hash := sha256.New()
	n, err := io.Copy(hash, req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	rw.Header().Set("content-type", "text/plain")
	if size, _ := strconv.Atoi(req.FormValue("head")); size > 0 {
		rw.Header().Set("x-large", strings.Repeat("y", size))
	}
	if req.FormValue("trailers") != "" {
		rw.Header().Set("trailer", "x-sum")
	}
	saw := []string{"method: " + req.Method, "host: " + req.Host, "version: " + req.Proto, fmt.Sprint("length: ", req.ContentLength), fmt.Sprint("bytes: ", n), "sum: " + hex.EncodeToString(hash.Sum(nil))}
	for _, name := range []string{"expect", "x-large", "te"} {
		if v := req.Header.Get(name); v != "" {
			saw = append(saw, name+": "+brief(v))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Trailer)) {
		saw = append(saw, "trailer "+strings.ToLower(name)+": "+req.Trailer.Get(name))
	}
	fmt.Fprintf(rw, "%-400s", strings.Join(saw, "\n")) // of one length, whatever it saw
	if req.FormValue("trailers") != "" {
		rw.Header().Set("x-sum", "1234")
	}
}

// brief is a text that fits into a line.
func brief(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%.10s… (%d bytes)", s, len(s))
	}
	return s
}

// stuff is so many bytes that look random and are the same each time.
func stuff(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), n) }

// download sends a body of so many bytes, its length said before if length=1.
func (o *webOrigin) download(rw http.ResponseWriter, req *http.Request) {
	n, err := strconv.ParseInt(req.FormValue("bytes"), 10, 64)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	if req.FormValue("length") != "" {
		rw.Header().Set("content-length", strconv.FormatInt(n, 10))
	}
	_, _ = io.Copy(rw, stuff(n))
}

// tell sends an event for each prompt, and nothing before it.
func (o *webOrigin) tell(rw http.ResponseWriter, req *http.Request) {
	rw.Header().Set("content-type", "text/event-stream")
	rw.(http.Flusher).Flush()
	prompt := o.events.of(req.FormValue("id"))
	for i := 1; ; i++ {
		select {
		case _, more := <-prompt:
			if !more {
				return
			}
		case <-req.Context().Done():
			return
		}
		fmt.Fprintf(rw, "id: %d\ndata: event %d\n\n", i, i)
		rw.(http.Flusher).Flush()
	}
}

// talk sends each line back as it comes, while the request is still being sent.
func (o *webOrigin) talk(rw http.ResponseWriter, req *http.Request) {
	_ = http.NewResponseController(rw).EnableFullDuplex()
	rw.WriteHeader(http.StatusOK)
	rw.(http.Flusher).Flush()
	buffer := make([]byte, 4096)
	for {
		n, err := req.Body.Read(buffer)
		if n > 0 {
			_, _ = rw.Write(buffer[:n])
			rw.(http.Flusher).Flush()
		}
		if err != nil {
			return
		}
	}
}

// socket is a WebSocket that sends back what comes; "close" makes it close with 4002, "gone" end without a word.
func (o *webOrigin) socket(rw http.ResponseWriter, req *http.Request) {
	ws, err := websocket.Accept(rw, req, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"chat.v2"}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(8 << 20)
	for {
		kind, message, err := ws.Read(req.Context())
		switch {
		case err != nil:
			return
		case string(message) == "close":
			_ = ws.Close(4002, "enough")
			return
		case string(message) == "gone":
			return
		}
		if err := ws.Write(req.Context(), kind, message); err != nil {
			return
		}
	}
}

// raw upgrades, sends lines back, and after the client's last one says goodbye: what half-closed connections are for.
func (o *webOrigin) raw(rw http.ResponseWriter, _ *http.Request) {
	c, buffered, err := rw.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			_, _ = io.WriteString(c, "goodbye\n")
			return
		}
		_, _ = io.WriteString(c, line)
	}
}
