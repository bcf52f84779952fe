package kubetest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Imposter returns the URL of a server that is no API server, and whose certificate nobody trusts. It ends with the test.
func Imposter(t testing.TB) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
