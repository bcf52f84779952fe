package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
		case "/elsewhere":
			http.Redirect(w, r, "/healthz", http.StatusFound)
		default:
			http.Error(w, "not ready: no disk", http.StatusServiceUnavailable)
		}
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	encrypted := httptest.NewTLSServer(handler)
	defer encrypted.Close()
	gone := httptest.NewServer(handler)
	gone.Close()
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{plain.URL + "/healthz"}, exitOK, ""},
		{[]string{encrypted.URL + "/healthz"}, exitOK, ""},
		{[]string{encrypted.URL + "/readyz"}, exitFailed, "not ready: no disk"},
		{[]string{plain.URL + "/elsewhere"}, exitFailed, "302"},
		{[]string{gone.URL + "/healthz"}, exitFailed, "refused"},
		{[]string{"http://192.0.2.1/healthz"}, exitInvalid, "must be a loopback address"},
		{[]string{"http://localhost/healthz"}, exitInvalid, "must be a loopback address"},
		{[]string{"/healthz"}, exitInvalid, "must begin with http"},
		{[]string{"http://%zz/"}, exitInvalid, "invalid URL"},
		{nil, exitInvalid, "usage"},
	} {
		var out bytes.Buffer
		if got := run(c.args, &out); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("probe %v: exit %d, %q; want %d, %q", c.args, got, out.String(), c.want, c.says)
		}
	}
}
