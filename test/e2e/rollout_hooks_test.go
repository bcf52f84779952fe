package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// receiver is a webhook for all apps. It checks each call by itself, as a team's own would.
type receiver struct {
	*httptest.Server
	key []byte

	mu      sync.Mutex
	got     map[string][]call         // by path
	answers map[string]func(call) int // a status, by path; nil: 204
	held    map[string]chan struct{}  // by path: closed when an answer may go out
	wrong   []error
}

// call is an event that came.
type call struct {
	id, event string
	rollout   *crossfadev1.RolloutStatus
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{key: make([]byte, 32), got: map[string][]call{}, answers: map[string]func(call) int{}, held: map[string]chan struct{}{}}
	_, _ = rand.Read(r.key) // never fails, see its documentation
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, err := range r.wrong {
			t.Errorf("the webhook got a call that is not right: %v", err)
		}
	})
	return r
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c, err := r.read(req)
	r.mu.Lock()
	if err != nil {
		r.wrong = append(r.wrong, err)
	}
	r.got[req.URL.Path] = append(r.got[req.URL.Path], c)
	answer, held := r.answers[req.URL.Path], r.held[req.URL.Path]
	r.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-req.Context().Done():
			return
		}
	}
	status := http.StatusNoContent
	if answer != nil {
		status = answer(c)
	}
	if status/100 != 2 {
		http.Error(w, "the old cron jobs still run", status)
		return
	}
	w.WriteHeader(status)
}

func (r *receiver) read(req *http.Request) (call, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return call{}, err
	}
	id := req.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, req.Header.Get("webhook-timestamp"), body)
	var e struct {
		SpecVersion, ID, Source, Type, Subject string
		Data                                   struct{ Rollout json.RawMessage }
	}
	c := call{id: id, rollout: &crossfadev1.RolloutStatus{}}
	switch {
	case req.Method != http.MethodPost || !strings.HasPrefix(req.Header.Get("content-type"), "application/cloudevents+json"):
		err = fmt.Errorf("%s of %s", req.Method, req.Header.Get("content-type"))
	case !hmac.Equal([]byte(req.Header.Get("webhook-signature")), []byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))):
		err = errors.New("the signature does not fit")
	default:
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		return c, err
	}
	c.event = strings.TrimPrefix(e.Type, "dev.crossfade.rollout.")
	if e.SpecVersion != "1.0" || e.ID != id || c.event == e.Type || e.Source == "" || e.Subject == "" {
		return c, fmt.Errorf("not an event: %s", body)
	}
	return c, protojson.Unmarshal(e.Data.Rollout, c.rollout)
}

// calls are those of an app so far.
func (a *app) calls() []call {
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	return slices.Clone(a.hooks.got[a.hookPath()])
}

// answer sets what the app's webhook answers.
func (a *app) answer(f func(call) int) {
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.answers[a.hookPath()] = f
}

// hold keeps answers of the app's webhook back until the returned function is called.
func (a *app) hold() (let func()) {
	held := make(chan struct{})
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.held[a.hookPath()] = held
	let = sync.OnceFunc(func() {
		a.hooks.mu.Lock()
		defer a.hooks.mu.Unlock()
		delete(a.hooks.held, a.hookPath())
		close(held)
	})
	a.t.Cleanup(let)
	return let
}

// hookWas waits for the events that a webhook is to get, each at least once and in this order, and holds IDs: the same for the same, and for nothing else.
// Alarms may come again, when it is so again.
func (a *app) hookWas(run string, want ...string) {
	a.t.Helper()
	var events []string
	a.await(fmt.Sprintf("the events %q", want), func() bool {
		events = nil
		seen := map[string]bool{}
		for _, c := range a.calls() {
			if c.rollout.GetRun() == run && c.event != "alarm" && !seen[c.id] {
				events = append(events, c.event)
				seen[c.id] = true
			}
		}
		return len(events) >= len(want)
	})
	asks := func(e string) bool { return e == "step.before" }
	tells := func(e string) bool { return !asks(e) }
	for _, of := range []func(string) bool{asks, tells} { // a question waits for no news
		got, wanted := slices.DeleteFunc(slices.Clone(events), of), slices.DeleteFunc(slices.Clone(want), of)
		if !slices.Equal(got, wanted) {
			a.t.Errorf("the webhook got %q, want %q", got, wanted)
		}
	}
	event := map[string]string{}
	for _, c := range a.calls() {
		if old, known := event[c.id]; known && old != c.event {
			a.t.Errorf("%s is %s and %s", c.id, old, c.event)
		}
		event[c.id] = c.event
	}
}
