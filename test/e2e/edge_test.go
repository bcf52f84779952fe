package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestFleetServesByTLS: a fleet with a certificate that is not there is refused and nothing changes; with one that is there its port is served by TLS;
// that it ends soon is shown and measured; another one in its place is used without a failed request, and the warning goes.
func TestFleetServesByTLS(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, 2)
		dir, ca := t.TempDir(), certtest.New(t, "edge")
		fleet := filepath.Join(dir, "fleet.yaml")
		text := fmt.Sprintf("apiVersion: crossfade/v1\nkind: Fleet\nname: default\nlisteners:\n- port: %d\n  tls: {certificates: [{certificateFile: %s/edge.pem, keyFile: %[2]s/edge.key}]}\n", w.port, dir)
		if err := os.WriteFile(fleet, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.apply(w.service("orders", "http1", 0))
		w.ready()
		stop := w.load("orders", loadgen.HTTP1, 100)
		w.ctl("apply", "-f", fleet).want(t, 6, "edge.", "undone")
		w.back()
		noneFailed(t, stop(), 1)

		put := func(left time.Duration) {
			ca.Write(dir, "edge", ca.Issue(certtest.Spec{DNS: []string{"orders.test"}, NotAfter: left}))
		}
		put(3*24*time.Hour + time.Hour)
		w.ctl("apply", "-f", fleet).want(t, 0)
		w.await("the port to be served by TLS", w.servesTLS(ca)) // what is acknowledged still waits for its secret, and the clear text goes on
		secure := w.loadTLS(ca)
		w.await("what is left to be shown", func() bool {
			said := w.ctl("fleet")
			return said.exit == 0 && strings.Count(said.out, "ends in 3 days") == len(w.Proxies) && strings.Contains(said.out, "CERTIFICATES") && strings.Count(said.out, " ok ") == len(w.Proxies)
		})
		if got := w.metric("crossfade_proxy_certificate_expiry_timestamp_seconds{"); strings.Count(got, `fleet="default"`) != len(w.Proxies) {
			t.Errorf("measured: %q", got)
		}
		put(90 * 24 * time.Hour)
		w.await("the warning to go", func() bool {
			said := w.ctl("fleet")
			return !strings.Contains(said.out, "certificate that it shows") && strings.Count(said.out, "89d") == len(w.Proxies)
		})
		if n := secure(); n < 20 {
			t.Errorf("only %d requests: the test saw too little", n)
		}
	})
}

// servesTLS says whether every proxy does. Each has one worker, so what has once begun does not end.
func (w *world) servesTLS(ca *certtest.CA) func() bool {
	config := clientTLS(ca)
	return func() bool {
		for _, p := range w.Proxies {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", fmt.Sprintf("%s:%d", p.Host, w.port), config)
			if err != nil {
				return false
			}
			conn.Close()
		}
		return true
	}
}

func clientTLS(ca *certtest.CA) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	return &tls.Config{ServerName: "orders.test", RootCAs: roots}
}

// loadTLS asks every proxy by TLS, on a connection that stays and on new ones, until the returned function is called, which returns how often. What
// fails fails the test.
func (w *world) loadTLS(ca *certtest.CA) (stop func() int64) {
	w.t.Helper()
	config := clientTLS(ca)
	ctx, cancel := context.WithCancel(w.t.Context())
	var all sync.WaitGroup
	var asked atomic.Int64
	for _, p := range w.Proxies {
		for _, stays := range []bool{true, false} {
			all.Go(func() {
				var conn *tls.Conn
				for ctx.Err() == nil {
					if conn == nil {
						var err error
						if conn, err = tls.Dial("tcp", fmt.Sprintf("%s:%d", p.Host, w.port), config); err != nil {
							w.t.Errorf("a connection failed: %v", err)
							return
						}
					}
					if err := askOver(conn); err != nil {
						w.t.Errorf("a request failed: %v", err)
						return
					}
					asked.Add(1)
					if !stays {
						conn.Close()
						conn = nil
					}
					_ = poll.Pause(ctx, 10*time.Millisecond)
				}
				if conn != nil {
					conn.Close()
				}
			})
		}
	}
	stop = func() int64 {
		cancel()
		all.Wait()
		return asked.Load()
	}
	w.t.Cleanup(func() { stop() })
	return stop
}

// askOver sends one request on a connection and reads its answer.
func askOver(conn *tls.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %w", resp.StatusCode, err)
	}
	return nil
}
