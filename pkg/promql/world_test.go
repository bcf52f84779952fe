package promql_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/promql"
)

// asking opens servers; the first is called main if it has no name.
func asking(t testing.TB, servers ...promql.Server) *promql.Queries {
	t.Helper()
	if servers[0].Name == "" {
		servers[0].Name = "main"
	}
	q, err := promql.New(promql.Config{Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// between serves with TLS, and returns how to reach it: URL and CAFile are set.
func between(t *testing.T, h http.Handler) promql.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what a server says of clients that refuse it
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return promql.Server{URL: s.URL, CAFile: write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers is a server that answers every query the same.
func answers(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// code is the code of a policy error, and its sentence.
func code(err error) (code, sentence string) {
	var e *policy.Error
	if !errors.As(err, &e) {
		return "", ""
	}
	return e.Code, e.Error()
}
