package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/mtls"
	"github.com/crossfade-proxy/crossfade/pkg/server/metrics"
)

// secured are the listeners as those who serve on them use them: with TLS, they end connections whose certificate is good no more.
type secured struct {
	keeper *mtls.Keeper // nil: without TLS
}

// listener returns the listener of a gRPC server.
func (s secured) listener(ls listeners, name string) net.Listener {
	if s.keeper == nil {
		return ls[name]
	}
	return s.keeper.Listener(ls[name], name)
}

// options are those of a gRPC server.
func (s secured) options(name string) []grpc.ServerOption {
	if s.keeper == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.Creds(s.keeper.Credentials(name))}
}

// comparators is the name in the certificate of comparators: that of the server, so that nobody else is told or may ask what they do. Empty without TLS.
func (s secured) comparators() string {
	if s.keeper == nil {
		return ""
	}
	name, err := s.keeper.Name()
	if err != nil {
		return "no-name.invalid" // nobody has it: without a name for them, nobody compares
	}
	return name
}

// web returns the listener of an HTTP server, which speaks TLS unless it is on loopback.
func (s secured) web(ls listeners, h *http.Server) net.Listener {
	const name = "http"
	if s.keeper == nil || isLoopback(ls[name]) {
		return ls[name]
	}
	h.Handler = strangersOut(h.Handler)
	h.ErrorLog = slog.NewLogLogger(s.keeper.HandshakeLog(name), slog.LevelError)
	return tls.NewListener(s.keeper.Listener(ls[name], name), s.keeper.ServerConfig(true, "http/1.1"))
}

// strangersOut answers who has shown no certificate only whether the server is well.
func strangersOut(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		if !open && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
			http.Error(w, "a client certificate is needed for all but /healthz and /readyz", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// tlsState is what metrics tell of certificates.
func (p *parts) tlsState(again *reloader) metrics.TLS {
	out := metrics.TLS{Ends: map[string]time.Time{}, ReloadFailures: again.failures.Load(), Refused: map[[2]string]int64{}, Proxies: p.admission.counts()}
	if p.secured.keeper == nil {
		return out
	}
	s := p.secured.keeper.State()
	out.Ends = s.Ends
	out.ReloadFailures += s.Failures
	for of, n := range s.Refused {
		out.Refused[[2]string{of.Listener, of.Reason}] = n
	}
	return out
}

// securedCommands is [nextCommands] with TLS.
func securedCommands(at map[string]string) string {
	return fmt.Sprintf(`
Next, with certificates as in docs/tls.md:
  shadowctl bootstrap --fleet default --node-id default-1 --xds %s --out DIR --tls-ca FILE --tls-cert FILE --tls-key FILE
  shadowctl --server %s --tls-ca FILE --tls-cert FILE --tls-key FILE get services

`, at["xds"], at["api"])
}
