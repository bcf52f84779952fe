package origin

import (
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// server2 is net/http's server, for HTTP/2 connections that are handed to it.
type server2 struct {
	server *http.Server
	conns  chan net.Conn
	ended  chan struct{}
	once   sync.Once
	addr   net.Addr
	done   chan struct{}
}

func newServer2(addr net.Addr, handler http.HandlerFunc) *server2 {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &server2{conns: make(chan net.Conn), ended: make(chan struct{}), done: make(chan struct{}), addr: addr}
	s.server = &http.Server{
		Handler: handler, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 10_000},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // resets on purpose are no news
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(s) // ends with net.ErrClosed
	}()
	return s
}

// hand hands a connection over, or closes it if the server has ended.
func (s *server2) hand(c net.Conn) {
	select {
	case s.conns <- c:
	case <-s.ended:
		_ = c.Close()
	}
}

// Accept, Close and Addr make it the [net.Listener] of its own server.
func (s *server2) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the accepting.
func (s *server2) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// Addr is the origin's address.
func (s *server2) Addr() net.Addr { return s.addr }

// stop closes every connection.
func (s *server2) stop() {
	_ = s.server.Close()
	_ = s.Close()
	<-s.done
}

// serve2 answers the requests of HTTP/2 connections, gRPC among them.
func (o *Origin) serve2(w http.ResponseWriter, req *http.Request) {
	o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	service := serviceOf(req.Host)
	at := o.arrived(service)
	fate := o.dice.roll()
	if fate.reset {
		panic(http.ErrAbortHandler) // resets the stream
	}
	isGRPC := strings.HasPrefix(req.Header.Get("content-type"), "application/grpc")
	seen := Echo{Origin: o.name, Proto: req.Proto, Method: req.Method, Path: req.RequestURI, Host: req.Host, Header: sortedPairs(req.Header)}
	if isGRPC {
		o.keepWhole(Request{At: at, Service: service, Echo: seen})
		o.serveGRPC(w, req, fate)
		return
	}
	body, err := readBody(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	seen.BodyBytes, seen.BodySHA256, seen.Trailer = body.bytes, body.sum, sortedPairs(req.Trailer)
	o.keepWhole(Request{At: at, Service: service, Echo: seen})
	o.write2(w, o.answerTo(fate, req.Header.Get(AnswerHeader), seen))
}

// write2 writes an answer; one that fails shows at the client.
func (o *Origin) write2(w http.ResponseWriter, a answer) {
	if !pause(a.delay, o) {
		panic(http.ErrAbortHandler)
	}
	o.askToLeave(w)
	for _, h := range a.header {
		w.Header().Add(h[0], h[1])
	}
	if !a.chunked() && a.status != http.StatusNoContent {
		w.Header().Set("content-length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	for i := range a.times {
		if i > 0 {
			w.(http.Flusher).Flush()
			if !pause(a.every, o) {
				panic(http.ErrAbortHandler)
			}
		}
		if _, err := w.Write(a.body); err != nil {
			return
		}
	}
	o.answered.Add(1)
}

// askToLeave sends GOAWAY after the answer if the origin is ending.
func (o *Origin) askToLeave(w http.ResponseWriter) {
	if o.leaving.Load() {
		w.Header().Set("connection", "close") // net/http makes it a GOAWAY
	}
}

// serveGRPC hands a call to the gRPC server.
func (o *Origin) serveGRPC(w http.ResponseWriter, req *http.Request, f fate) {
	w.Header().Set("x-origin", o.name)
	if !pause(f.latency, o) {
		panic(http.ErrAbortHandler)
	}
	o.askToLeave(w)
	if f.status != 0 {
		w.Header().Set("content-type", "application/grpc")
		w.Header().Set("grpc-status", "14")
		w.Header().Set("grpc-message", "the origin fails on purpose")
		w.WriteHeader(http.StatusOK)
		return
	}
	o.grpc.ServeHTTP(w, req)
	o.answered.Add(1)
}
