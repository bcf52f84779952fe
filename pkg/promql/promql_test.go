package promql_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/promql"
)

var _ engine.Queries = (*promql.Queries)(nil)

const hush = "hush-hush"

// TestOddAnswers: what stands between can answer anything; no error holds the token, is long, or has what a terminal would act on.
func TestOddAnswers(t *testing.T) {
	const scalar = `{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}%s}`
	for name, c := range map[string]struct {
		answer    http.HandlerFunc
		ok        bool
		code, why string
	}{
		"a warning":       {answers(200, fmt.Sprintf(scalar, `,"warnings":["store a\u001b did not answer"]`)), true, "", "Prometheus warns: store a did not answer"},
		"an info":         {answers(200, fmt.Sprintf(scalar, `,"infos":["might not be a counter"]`)), true, "", ""},
		"warned, no data": {answers(200, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["partial"]}`), false, "", "no data; Prometheus warns: partial"},
		"a histogram":     {answers(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"2"}]}]}}`), false, "query_histogram", "histogram_quantile"},
		"a page":          {answers(200, "<html>login</html>"), false, "prometheus_answer", "does not answer as a Prometheus does"},
		"nothing":         {answers(200, ""), false, "prometheus_answer", ""},
		"no data at all":  {answers(200, `{"status":"success"}`), false, "query_kind", "answers with nothing"},
		"null":            {answers(200, `null`), false, "query_kind", ""},
		"204":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, false, "prometheus_answer", ""},
		"an error in 200": {answers(200, `{"status":"error","errorType":"execution","error":"no `+hush+`"}`), false, "prometheus_failed", "no …"},
		"a timeout":       {answers(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), false, "prometheus_failed", "server error: 503: query timed out"},
		"403 with token":  {answers(403, "go away, Bearer "+hush), false, "prometheus_failed", "403: go away, Bearer …"},
		"502, binary":     {answers(502, "\x00\xff\x1b[2Jbad\r\ngateway"+strings.Repeat("z", 1000)), false, "prometheus_failed", "[2Jbad gateway"},
		"a redirect":      {http.RedirectHandler("https://elsewhere.test/?"+hush, http.StatusFound).ServeHTTP, false, "prometheus_redirect", "answered 302 Found"},
		"a closed one":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "prometheus_unreachable", ""},
		"a long answer":   {answers(200, `{"status":"success","data":{"resultType":"vector","result":[`+strings.Repeat(" ", 5<<20)+`]}}`), false, "prometheus_answer", "longer than 4 MiB"},
		"a long header":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) }, false, "prometheus_unreachable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := between(t, c.answer)
			server.BearerTokenFile = write(t, "token", hush)
			_, ok, why, err := asking(t, server).Ask(t.Context(), "main", "up", time.Now())
			got, says := code(err)
			says += why
			if ok != c.ok || got != c.code || !strings.Contains(says, c.why) {
				t.Errorf("%v %q %v", ok, why, err)
			}
			if strings.Contains(says, hush) || strings.ContainsAny(says, "\x1b\x00\n") || len(says) > 450 {
				t.Errorf("says %q", says)
			}
		})
	}
}

// TestSlowServer: neither one that hangs nor one that trickles keeps a guard waiting; and who no longer waits is let go at once.
func TestSlowServer(t *testing.T) {
	asked := make(chan struct{}, 4)
	server := between(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err == nil && req.Form.Get("query") == "trickle" {
			_, _ = w.Write([]byte(`{"status":`))
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		<-req.Context().Done()
		panic(http.ErrAbortHandler) // else the answer of a handler that ends may yet arrive
	}))
	patient := server
	patient.Name = "patient"
	server.Timeout = 200 * time.Millisecond
	q := asking(t, server, patient)
	for _, query := range []string{"hang", "trickle"} {
		begun := time.Now()
		_, ok, _, err := q.Ask(t.Context(), "main", query, time.Now())
		if got, says := code(err); ok || got != "prometheus_slow" || !strings.Contains(says, "did not answer within 200ms") || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v after %s", query, err, time.Since(begun))
		}
		<-asked
	}
	gone := errors.New("rolled back")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-asked; cancel(gone) }()
	if _, _, _, err := q.Ask(ctx, "patient", "hang", time.Now()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// TestAskedAsDocumented: what a server is asked for, and that it is told how long it may take.
func TestAskedAsDocumented(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		if req.URL.Path != "/prom/api/v1/query" || req.Form.Encode() != "query=up+%2B+1&time=1614265330.5&timeout=5s" || req.Header.Get("Authorization") != "" {
			t.Errorf("asked %s %s", req.URL, req.Form)
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}}`))
	}))
	t.Cleanup(s.Close)
	if value, ok, why, err := asking(t, promql.Server{URL: s.URL + "/prom/"}).Ask(t.Context(), "main", "up + 1", time.Unix(1614265330, 5e8)); value != 5 || !ok || why != "" || err != nil {
		t.Errorf("%v %v %q %v", value, ok, why, err)
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := between(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was asked") }))
	server.CAFile = ""
	_, _, _, err := asking(t, server).Ask(t.Context(), "main", "up", time.Now())
	if got, says := code(err); got != "prometheus_unreachable" || !strings.Contains(says, "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestKnown(t *testing.T) {
	q := asking(t, promql.Server{Name: "b", URL: "http://b.test"}, promql.Server{Name: "a", URL: "https://a.test:9090/x"})
	if err := q.Known("a"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{q.Known("c"), q.Known(""), func() error { _, _, _, err := q.Ask(t.Context(), "c", "up", time.Now()); return err }()} {
		if c, says := code(err); c != "server_unknown" || !strings.Contains(says, "they have b, a") {
			t.Errorf("got %v", err)
		}
	}
	none, err := promql.New(promql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if c, says := code(none.Known("a")); c != "server_unknown" || !strings.Contains(says, "have no Prometheus;") {
		t.Errorf("%s %s", c, says)
	}
}

func TestBadSettings(t *testing.T) {
	for field, s := range map[string]promql.Server{
		"name":   {Name: "Main", URL: "http://a.test"},
		"url":    {Name: "a", URL: "a.test:9090"},
		"url ":   {Name: "a", URL: "http://ann:hush-hush@a.test"},
		"url  ":  {Name: "a", URL: "http://a.test/?x=hush-hush"},
		"caFile": {Name: "a", URL: "https://a.test", CAFile: write(t, "ca", "-----BEGIN "+hush)},
		"caFile ": {
			Name: "a", URL: "https://a.test", CAFile: "/no/such/file",
		},
	} {
		_, err := promql.New(promql.Config{Servers: []promql.Server{s}})
		if _, says := code(err); !strings.HasPrefix(says, "prometheus[0]."+strings.TrimSpace(field)+":") || strings.Contains(says, hush) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	twice := promql.Server{Name: "a", URL: "http://a.test"}
	if _, err := promql.New(promql.Config{Servers: []promql.Server{twice, twice}}); err == nil {
		t.Error("one name for two is taken")
	}
}

// FuzzAnswer: whatever is answered, a number is finite, and there is either one or a reason.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}}`, `{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"+Inf"]}]},"warnings":["w"]}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"2","buckets":[[0,"1","2","1"]]}]}]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[null]}}`, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, `{"status":"error","errorType":"bad_data","error":"x"}`,
	} {
		f.Add(200, body)
		f.Add(422, body)
	}
	var status atomic.Int64
	var body atomic.Pointer[string]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(*body.Load()))
	}))
	f.Cleanup(s.Close)
	q := asking(f, promql.Server{URL: s.URL})
	f.Fuzz(func(t *testing.T, code int, text string) {
		if code < 200 || code > 599 {
			code = 200
		}
		status.Store(int64(code))
		body.Store(&text)
		value, ok, why, err := q.Ask(t.Context(), "main", "up", time.Now())
		if math.IsNaN(value) || math.IsInf(value, 0) || ok && err != nil || !ok && (value != 0 || (why == "") == (err == nil)) {
			t.Errorf("%d %q: %v %v %q %v", code, text, value, ok, why, err)
		}
	})
}
