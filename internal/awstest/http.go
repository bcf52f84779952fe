package awstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// target is what ECS's protocol puts before the name of an action.
const target = "AmazonEC2ContainerServiceV20141113."

// ServeHTTP answers as ECS and EC2 do: ECS speaks JSON 1.1, EC2 forms and XML.
func (e *ECS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target); ok {
		e.answerECS(w, r, action, body)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") == "" {
		http.Error(w, "neither ECS nor EC2", http.StatusNotFound)
		return
	}
	e.answerEC2(w, r, form)
}

func (e *ECS) answerECS(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, &failure{Code: "SerializationException", Message: err.Error()})
		return
	}
	fault := e.count(action, nameIn(in.Cluster))
	if !e.slow(r) {
		return
	}
	if fault != nil {
		writeJSON(w, fault.status(), &failure{Code: fault.Code, Message: fault.message(action)})
		return
	}
	out, err := e.do(action, in)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// slow waits as [ECS.Latency] says; false if the client went away.
func (e *ECS) slow(r *http.Request) bool {
	e.mu.Lock()
	d := e.latency
	e.mu.Unlock()
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (f *Fault) status() int {
	if f.Status == 0 {
		return http.StatusBadRequest
	}
	return f.Status
}

func (f *Fault) message(action string) string {
	if f.Message == "" {
		return "the test lets " + action + " fail"
	}
	return f.Message
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-0000-0000-000000000000")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// Config is for clients of the SDK that reach it over loopback.
func (e *ECS) Config(region string) aws.Config { return config(e.server.url, region) }

// URL is where it is served, http://HOST:PORT.
func (e *ECS) URL() string { return e.server.url }

// Direct is for clients of the SDK that call it without a network.
func (e *ECS) Direct(region string) aws.Config {
	c := config("http://127.0.0.1", region)
	c.HTTPClient = direct{e}
	return c
}

// direct is an HTTP client that asks a fake in the same goroutine.
type direct struct{ ecs *ECS }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	d.ecs.mu.Lock()
	down := d.ecs.down
	d.ecs.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ecs.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := w.Result()
	response.Request = r
	return response, nil
}

// server is a port of loopback that can be closed and opened again.
type server struct {
	t       testing.TB
	handler http.Handler
	port    *loopback.Port
	url     string
	running *http.Server // nil while it is down
	done    chan struct{}
}

func (e *ECS) serve(t testing.TB) error {
	port, err := loopback.Reserve(loopback.Host())
	if err != nil {
		return err
	}
	e.server = &server{t: t, handler: e, port: port, url: fmt.Sprintf("http://%s", port.Addr())}
	e.server.set(false)
	t.Cleanup(func() {
		e.server.set(true)
		port.Release()
	})
	return nil
}

// set closes the port, or opens it.
func (s *server) set(down bool) {
	if s.running != nil {
		_ = s.running.Close()
		<-s.done
		s.running = nil
	}
	if down {
		return
	}
	listener, err := s.port.Listen()
	if err != nil {
		s.t.Error(err)
		return
	}
	running, done := &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	s.running, s.done = running, done
	go func() {
		defer close(done)
		_ = running.Serve(listener) // it ends with Close
	}()
}
