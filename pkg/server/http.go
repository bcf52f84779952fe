package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// HTTP returns the handler of the HTTP listener: /healthz (the process is up), /readyz (it serves) and /metrics.
func HTTP(ready func() bool, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			say(w, http.StatusServiceUnavailable, "not serving: it is starting or stopping")
			return
		}
		say(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, "Crossfade control plane: /healthz /readyz /metrics")
	})
	return crash(mux)
}

// NewHTTPServer returns a server with bounds on what a client may hold open.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
}

func say(w http.ResponseWriter, code int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, sentence+"\n")
}

// crash ends the process where a handler panics: net/http would go on with whatever state is left.
func crash(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(os.Stderr, "panic in %s: %v\n%s", r.URL.Path, p, debug.Stack())
				os.Exit(2)
			}
		}()
		h.ServeHTTP(w, r)
	})
}
