package hook_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/hook"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// keyText is the key of the examples of Standard Webhooks.
const keyText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func key(t testing.TB) hook.Key {
	t.Helper()
	k, err := hook.ParseKey(keyText)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// event is one as the engine tells it.
func event() engine.Event {
	return engine.Event{
		ID: "orders-to-eks@3f9a2c1b/step-2/before", Type: "step.before", Subject: "orders",
		Time: time.Date(2026, 11, 27, 12, 0, 0, 5e6, time.FixedZone("", 3600)),
		Rollout: &crossfadev1.RolloutStatus{
			Name: "orders-to-eks", Service: "orders", State: "Progressing", Step: 2, Revision: 17,
			Guards: []*crossfadev1.GuardStatus{{Name: "errors", Verdict: "Pass", Value: 0.001, Samples: 4000}},
		},
		Text: "asks before 50 % <goes> to eks & ecs",
	}
}

// got is a request that a receiver had.
type got struct {
	method, path string
	header       http.Header
	body         []byte
}

// receiver is a webhook of a test.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	all []got
}

// receive starts a receiver with TLS, that answers as the test says.
func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("the event does not end well: %v", err)
		}
		r.mu.Lock()
		r.all = append(r.all, got{req.Method, req.URL.Path, req.Header, body})
		r.mu.Unlock()
		answer(w, req)
	}))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what a server says of clients that refuse it
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]got(nil), r.all...)
}

// logged is a log that the test reads.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// hooks may call the receiver, and trust it. Nothing that it logs holds the key.
func hooks(t *testing.T, r *receiver, change func(*hook.Config)) *hook.Hooks {
	t.Helper()
	log := &logged{}
	c := hook.Config{Allow: []string{r.URL + "/in"}, Key: key(t), Roots: x509.NewCertPool(), Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	c.Roots.AddCert(r.Certificate())
	if change != nil {
		change(&c)
	}
	h, err := hook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if out := log.String(); strings.Contains(out, keyText[6:]) || strings.Contains(out, "hush") {
			t.Errorf("the log tells secrets: %s", out)
		}
	})
	return h
}

// code is the code of a policy error, and its sentence.
func code(err error) (code, sentence string) {
	var e *policy.Error
	if !errors.As(err, &e) {
		return "", ""
	}
	return e.Code, e.Error()
}
