package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// GetDiagnostics implements the contract.
func (a *Admin) GetDiagnostics(r *crossfadev1.GetDiagnosticsRequest, stream grpc.ServerStreamingServer[crossfadev1.GetDiagnosticsResponse]) error {
	var p problems
	if n := r.GetLogLines(); n < 0 || n > maxLogLines {
		p.add("out_of_range", "logLines", fmt.Sprint(n), fmt.Sprintf("must be 0, for all that there are, to %d", maxLogLines))
	}
	if err := p.Err(); err != nil {
		return err
	}
	ctx, out := stream.Context(), newParts(a, stream)
	for _, f := range a.Diagnostics {
		if err := out.send(&crossfadev1.GetDiagnosticsResponse{Name: f.Name, Description: f.Description}); err != nil {
			return err
		}
		if r.GetNamesOnly() {
			continue
		}
		var content bytes.Buffer
		if err := f.Write(ctx, &content, int(r.GetLogLines())); err != nil { // what is broken must not hide the rest
			fmt.Fprintf(&content, "\nthis could not be found out: %v\n", err)
		}
		w := out.writer(func(b []byte) *crossfadev1.GetDiagnosticsResponse {
			return &crossfadev1.GetDiagnosticsResponse{Name: f.Name, Data: b}
		})
		if _, err := w.Write(a.Redact(content.Bytes())); err != nil {
			return err
		}
	}
	a.Log.InfoContext(ctx, "diagnostics were sent", "who", who(ctx, ""), "namesOnly", r.GetNamesOnly())
	return nil
}

// profileTime bounds a profile: a listener's own bound is for short answers.
const profileTime = 5 * time.Minute

// WithProfiling adds /debug/pprof to the handler of the HTTP listener. Who may ask for it is for others to see to.
func WithProfiling(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /debug/pprof/", profile(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", profile(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", profile(pprof.Trace))
	return crash(mux)
}

// profile gives a handler the time that it needs. It hides the server from it, by whose bound it would refuse.
func profile(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		until := time.Now().Add(profileTime)
		if err := http.NewResponseController(w).SetWriteDeadline(until); err != nil {
			say(w, http.StatusInternalServerError, "this connection cannot be kept for a profile")
			return
		}
		h(w, r.WithContext(hiddenServer{r.Context()}))
	}
}

// hiddenServer is a context that does not know its HTTP server.
type hiddenServer struct{ context.Context }

// Value implements context.Context.
func (c hiddenServer) Value(key any) any {
	if key == http.ServerContextKey {
		return nil
	}
	return c.Context.Value(key)
}
