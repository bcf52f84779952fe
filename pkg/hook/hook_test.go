package hook_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/hook"
)

var _ engine.Hooks = (*hook.Hooks)(nil)

// TestReceiverReadsWhatWasSent: one POST, signed, a CloudEvent by the rules of its JSON schema, with the status as it was.
func TestReceiverReadsWhatWasSent(t *testing.T) {
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	e := event()
	if err := hooks(t, r, nil).Ask(t.Context(), r.URL+"/in/orders", e); err != nil {
		t.Fatal(err)
	}
	all := r.got()
	if len(all) != 1 || all[0].method != http.MethodPost || all[0].path != "/in/orders" || all[0].header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
		t.Fatalf("got %v", all)
	}
	if err := hook.Verify(all[0].header, all[0].body, key(t), time.Now()); err != nil {
		t.Error(err)
	}
	if id := all[0].header.Get("webhook-id"); id != e.ID {
		t.Errorf("webhook-id %q", id)
	}
	var sent struct {
		Data struct {
			Rollout json.RawMessage
			Text    string
			Alarm   *bool
		}
	}
	if err := json.Unmarshal(all[0].body, &sent); err != nil {
		t.Fatal(err)
	}
	var status crossfadev1.RolloutStatus
	if err := protojson.Unmarshal(sent.Data.Rollout, &status); err != nil || !proto.Equal(&status, e.Rollout) {
		t.Errorf("status %v, %v", &status, err)
	}
	if sent.Data.Text != e.Text || sent.Data.Alarm == nil || *sent.Data.Alarm || !bytes.Contains(sent.Data.Rollout, []byte(`"weight":0`)) {
		t.Errorf("data %s", all[0].body)
	}
	checkSchema(t, all[0].body)
}

// checkSchema holds an event against cloudevents.json of the specification, and what its text adds: names of attributes, time, URI.
func checkSchema(t *testing.T, body []byte) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"specversion": "1.0", "id": "orders-to-eks@3f9a2c1b/step-2/before", "source": "/crossfade/rollouts/orders-to-eks", "subject": "orders",
		"type": "dev.crossfade.rollout.step.before", "time": "2026-11-27T11:00:00.005Z", "datacontenttype": "application/json",
	}
	for name, raw := range all {
		var text string
		if name != "data" && (json.Unmarshal(raw, &text) != nil || text == "" || text != want[name]) {
			t.Errorf("%s is %s, want %q", name, raw, want[name])
		}
	}
	if len(all) != len(want)+1 || all["data"] == nil {
		t.Errorf("attributes of %s", body)
	}
	if _, err := url.Parse(want["source"]); err != nil {
		t.Error(err)
	}
	if _, err := time.Parse(time.RFC3339, want["time"]); err != nil {
		t.Error(err)
	}
}

// TestSameEventIsSameBytes: protobuf's JSON has spaces by chance, the body of an event has none.
func TestSameEventIsSameBytes(t *testing.T) {
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not now", http.StatusServiceUnavailable) })
	h := hooks(t, r, nil)
	for range 2 {
		if err := h.Ask(t.Context(), r.URL+"/in", event()); err == nil {
			t.Fatal("a 503 agreed")
		}
	}
	a := r.got()
	if len(a) != 2 || !bytes.Equal(a[0].body, a[1].body) || bytes.Contains(a[0].body, []byte(`": `)) || a[0].header.Get("webhook-id") != a[1].header.Get("webhook-id") {
		t.Errorf("the second try is another event: %v", a)
	}
}

func TestAnswers(t *testing.T) {
	other := receive(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		answer     http.HandlerFunc
		code, says string
	}{
		"200 with text": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "no") }, "", ""},
		"202":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, "", ""},
		"200 that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "x")
		}, "", ""},
		"409 with reason": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "cron jobs still run here", http.StatusConflict)
		}, "hook_refused", "answered 409 Conflict: cron jobs still run here"},
		"401 without": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "hook_refused", "answered 401 Unauthorized"},
		"599":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, "hook_refused", "answered 599"},
		"500, binary": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("\x1b[31mred\x00\xff\xfe\r\nend\u202e"))
		}, "hook_refused", "Error: [31mred end"},
		"500, huge": {func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for range 1 << 10 {
				if _, err := fmt.Fprint(w, strings.Repeat("ä", 1<<10)); err != nil || req.Context().Err() != nil {
					return
				}
			}
		}, "hook_refused", "ä…"},
		"302":               {http.RedirectHandler(other.URL+"/in?token=hush", http.StatusFound).ServeHTTP, "hook_redirect", "answered 302 Found, and redirects are not followed"},
		"307":               {http.RedirectHandler("/in/there", http.StatusTemporaryRedirect).ServeHTTP, "hook_redirect", "answered 307 Temporary Redirect"},
		"304":               {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "hook_redirect", "answered 304"},
		"connection closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "hook_unreachable", "cannot be asked"},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 100<<10))
		}, "hook_unreachable", "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, c.answer)
			err := hooks(t, r, nil).Ask(t.Context(), r.URL+"/in?token=hush", event())
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got, says := code(err)
			if got != c.code || !strings.Contains(says, c.says) || len(says) > 400 || strings.Contains(says, "hush") {
				t.Errorf("%v", err)
			}
			if n := len(r.got()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	if n := len(other.got()); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// TestHangingHookIsGivenUp: before an answer; in the middle of it, where the status has said all; and a step that is no longer wanted does not wait at all.
func TestHangingHookIsGivenUp(t *testing.T) {
	asked := make(chan struct{}, 3)
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/in/text" {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "wait")
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		<-req.Context().Done()
		panic(http.ErrAbortHandler) // else the answer of a handler that ends may yet arrive
	})
	h := hooks(t, r, func(c *hook.Config) { c.Timeout = 200 * time.Millisecond })
	for path, want := range map[string]string{"/in": "did not answer within 200ms", "/in/text": "answered 502 Bad Gateway: wait"} {
		begun := time.Now()
		err := h.Ask(t.Context(), r.URL+path, event())
		if _, says := code(err); !strings.Contains(says, want) || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v after %s", path, err, time.Since(begun))
		}
		<-asked
	}
	patient := hooks(t, r, nil)
	gone := errors.New("rolled back")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-asked; cancel(gone) }()
	if err := patient.Ask(ctx, r.URL+"/in", event()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	h := hooks(t, r, func(c *hook.Config) { c.Roots = x509.NewCertPool() })
	err := h.Ask(t.Context(), r.URL+"/in", event())
	if c, says := code(err); c != "hook_unreachable" || !strings.Contains(says, "certificate") {
		t.Errorf("got %v", err)
	}
	if len(r.got()) > 0 {
		t.Error("somebody without a certificate was told")
	}
}

func TestDownIsSaid(t *testing.T) {
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	h := hooks(t, r, nil)
	r.Close()
	if c, says := code(h.Ask(t.Context(), r.URL+"/in?token=hush", event())); c != "hook_unreachable" || !strings.Contains(says, "refused") || strings.Contains(says, "hush") {
		t.Errorf("%s: %s", c, says)
	}
}

// TestConnectionsAreKeptAndClosed: the second event needs no new connection, and Close leaves none.
func TestConnectionsAreKeptAndClosed(t *testing.T) {
	var remotes []string
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		remotes = append(remotes, req.RemoteAddr)
		fmt.Fprint(w, "fine")
	})
	h := hooks(t, r, nil)
	for range 2 {
		if err := h.Ask(t.Context(), r.URL+"/in", event()); err != nil {
			t.Fatal(err)
		}
	}
	if remotes[0] != remotes[1] {
		t.Errorf("two connections: %v", remotes)
	}
	h.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Config.Shutdown(ctx); err != nil {
		t.Errorf("a connection is open: %v", err)
	}
}
