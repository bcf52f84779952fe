package translate_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// origin is a server that names itself, remembers what it saw, and takes HTTP/1.1 and cleartext HTTP/2.
type origin struct {
	address netip.AddrPort
	handler http.HandlerFunc // nil: answers 200 with its name
	close   func()           // ends it before the test does

	mu   sync.Mutex
	seen []*http.Request
}

func startOrigin(t *testing.T, name string) *origin {
	t.Helper()
	return startOriginAt(t, name, 0)
}

// startOriginAt is the same with a given port, on a host of its own.
func startOriginAt(t *testing.T, name string, port int) *origin {
	t.Helper()
	return startOriginOver(t, name, port, nil)
}

// startOriginOver is the same, over TLS if that is not nil.
func startOriginOver(t *testing.T, name string, port int, encrypted *tls.Config) *origin {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprint(loopback.Host(), ":", port))
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{address: netip.MustParseAddrPort(listener.Addr().String())}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // failed handshakes are meant
	server := &http.Server{Protocols: protocols, TLSConfig: encrypted, ErrorLog: quiet, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen = append(o.seen, r)
		handler := o.handler
		o.mu.Unlock()
		w.Header().Set("X-Test-Origin", name)
		if handler != nil {
			handler(w, r)
			return
		}
		fmt.Fprint(w, name)
	})}
	o.close = func() { server.Close() }
	served := make(chan error, 1)
	go func() {
		if encrypted != nil {
			served <- server.ServeTLS(listener, "", "")
		} else {
			served <- server.Serve(listener)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("origin %s: %v", name, err)
		}
	})
	return o
}

// answer replaces what the origin does.
func (o *origin) answer(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handler = h
}

// last is the request that it saw last.
func (o *origin) last(t testing.TB) *http.Request {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) == 0 {
		t.Fatal("the origin saw no request")
	}
	return o.seen[len(o.seen)-1]
}

// count is how many requests it saw.
func (o *origin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}
