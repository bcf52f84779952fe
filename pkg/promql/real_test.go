package promql_test

import (
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/promtest"
	"github.com/crossfade-proxy/crossfade/pkg/promql"
)

// TestRealPrometheus asks all that a guard can ask wrong, and right.
func TestRealPrometheus(t *testing.T) {
	target := promtest.NewTarget(t)
	for series, value := range map[string]float64{
		`errors{service="orders"}`: 0.25, `errors{service="users"}`: 1, "requests": 0, "failures": 0, "huge": math.MaxFloat64, "nothing": math.NaN(), "tiny": -1e-300,
	} {
		target.Set(series, value)
	}
	s := promtest.Start(t, target.Addr)
	s.Await(`errors`)
	q := asking(t, promql.Server{URL: s.URL + "/"})
	for query, want := range map[string]struct {
		value     float64
		why, code string // parts of a sentence; the code of an error
	}{
		`errors{service="orders"}`:          {value: 0.25},
		`sum(errors)`:                       {value: 1.25},
		`scalar(errors{service="orders"})`:  {value: 0.25},
		`42`:                                {value: 42},
		`requests`:                          {value: 0},
		`huge`:                              {value: math.MaxFloat64},
		`tiny`:                              {value: -1e-300},
		`errors{service="nobody"}`:          {why: "has no data"},
		`errors offset 1h`:                  {why: "has no data"},
		`errors`:                            {why: "has 2 series, and a guard takes one: aggregate them"},
		`failures / requests`:               {why: "NaN"},
		`nothing`:                           {why: "NaN"},
		`scalar(errors)`:                    {why: "NaN"},
		`1 / 0`:                             {why: "+Inf"},
		`sum(`:                              {code: "query_refused", why: "parse error: unclosed left parenthesis"},
		`nofunction(errors)`:                {code: "query_refused", why: `unknown function with name "nofunction"`},
		`errors[1m]`:                        {code: "query_kind", why: "a matrix"},
		`"text"`:                            {code: "prometheus_answer", why: `unexpected value type "string"`},
		``:                                  {code: "query_refused", why: "no expression found"},
		`errors + on() group_left() errors`: {code: "prometheus_failed", why: "duplicate series for the match group"},
		strings.Repeat("y", 4000) + `(1)`:   {code: "query_refused", why: "yyy…"},
	} {
		value, ok, why, err := q.Ask(t.Context(), "main", query, time.Now())
		got, says := code(err)
		says += why
		if value != want.value || ok != (want.why == "") || got != want.code || !strings.Contains(says, want.why) || ok && says != "" || len(says) > 400 {
			t.Errorf("%.40s: %v %v %q %v", query, value, ok, why, err)
		}
	}
	if _, ok, why, err := q.Ask(t.Context(), "main", "errors", time.Now().Add(-time.Hour)); ok || err != nil || !strings.Contains(why, "no data") {
		t.Errorf("an hour ago: %v %s %v", ok, why, err)
	}
	if value, ok, why, err := q.Ask(t.Context(), "main", "sum(errors)", time.Time{}); !ok || value != 1.25 || err != nil {
		t.Errorf("by its own clock: %v %s %v", ok, why, err)
	}
	if value, ok, why, err := q.Ask(t.Context(), "main", "histogram_quantile(2, sum(errors)) or vector(3)", time.Now()); !ok || value != 3 || err != nil || !strings.Contains(why, "Prometheus warns: ") {
		t.Errorf("with a warning: %v %v %q %v", value, ok, why, err)
	}
	s.Kill()
	_, ok, _, err := q.Ask(t.Context(), "main", "sum(errors)", time.Now())
	if got, says := code(err); ok || got != "prometheus_unreachable" || !strings.Contains(says, "Prometheus main cannot be asked") {
		t.Errorf("down: %v", err)
	}
}

// TestTokenIsSentAndReplaced asks a real Prometheus behind what most put before one: TLS and a token.
func TestTokenIsSentAndReplaced(t *testing.T) {
	s := promtest.Start(t)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := between(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer right.token/1=" {
			http.Error(w, "who is "+req.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, req)
	}))
	server.BearerTokenFile = write(t, "token", "right.token/1=\n")
	q := asking(t, server)
	if value, ok, _, err := q.Ask(t.Context(), "main", "7", time.Now()); !ok || value != 7 {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"old-token": "prometheus_denied", "": "prometheus_token", "two\ntokens": "prometheus_token", strings.Repeat("x", 20<<10): "prometheus_token"} {
		if err := os.WriteFile(server.BearerTokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, ok, _, err := q.Ask(t.Context(), "main", "7", time.Now())
		if got, says := code(err); ok || got != want || text != "" && strings.Contains(says, text) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	if err := os.Remove(server.BearerTokenFile); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := q.Ask(t.Context(), "main", "7", time.Now()); err == nil {
		t.Error("asks without its token")
	}
	server.BearerTokenFile = ""
	_, _, _, err = asking(t, server).Ask(t.Context(), "main", "7", time.Now())
	if got, says := code(err); got != "prometheus_denied" || !strings.Contains(says, "it wants a token") {
		t.Errorf("without a token: %v", err)
	}
}
