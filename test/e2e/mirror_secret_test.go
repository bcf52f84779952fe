package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// What nobody may find again. Each is in every place where traffic can have something.
var planted = []string{"Zk8-Secret-4711-Q", "jane.doe.90210@example.org"}

// leak answers with what is planted, and differs from control wherever answers can.
func leak(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i, s := range planted {
			w.Header().Add("Set-Cookie", fmt.Sprintf("session%d=%s%s; Path=/%s", i, s, name, s))
			w.Header().Add(fmt.Sprintf("X-Who-%d", i), s+name)
			w.Header().Add("X-"+strings.NewReplacer("@", "-", ".", "-").Replace(s)+name, s)
		}
		if strings.Contains(r.URL.Path, "refused") && name == "eks" {
			http.Error(w, strings.Join(planted, " "), http.StatusInternalServerError)
			return
		}
		if strings.Contains(r.URL.Path, "broken") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"%s": [%q, nope %s`, planted[0], planted, name)
			return
		}
		fields := map[string]any{"name": planted[1] + name, "note": planted[0], planted[0] + name: name, "nested": map[string]any{planted[1]: planted, "of": name}}
		if name == "eks" {
			fields["more"] = planted
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(fields)
	}
}

// TestAPlantedSecretIsNowhere: whatever traffic holds, no file, log, report, metric or error of ours has it. Proxies log the paths of requests
// as before: that is theirs.
func TestAPlantedSecretIsNowhere(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var data string
	w := newWorldOf(t, "1.40.0", 1, func(c *stack.Config) { c.Log, data = log, c.Dir })
	ecs, eks := httptest.NewServer(leak("ecs")), httptest.NewServer(leak("eks"))
	t.Cleanup(ecs.Close)
	t.Cleanup(eks.Close)
	doc := w.service("orders", "http1", 0)
	for i, s := range []*httptest.Server{ecs, eks} {
		doc.GetService().GetOrigins()[i].GetStatic().Endpoints = []string{s.Listener.Addr().String()}
	}
	w.apply(doc)
	w.ready()
	_, err = w.API.StartMirror(t.Context(), &crossfadev1.StartMirrorRequest{Mirror: &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: "m1", Service: "orders", Candidate: "eks", Share: 10000, MaxRps: 500, AllowWrites: true, Methods: []string{"GET", "POST"},
		KeepHeaders: []string{"cookie"}, Learn: durationpb.New(time.Second), Duration: durationpb.New(time.Hour), Stop: &crossfadev1.MirrorStop{CandidateErrors: 1_000_000},
	}})
	if err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("http://%s:%d", w.Proxies[0].Host, w.port)
	report := func() *crossfadev1.MirrorReport {
		got, err := w.API.GetMirrorReport(t.Context(), &crossfadev1.GetMirrorReportRequest{Name: "m1"})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetReport()
	}
	n := 0
	w.await("pairs are compared and paths were learned", func() bool {
		for range 20 {
			ask(t, target, n)
			n++
		}
		r := report()
		return r.GetCompared() >= 100 && len(r.GetSeen()) > 0 && len(r.GetDifferences()) > 3
	})
	shown := []string{
		w.ctl("mirror", "report", "m1", "-o", "json").out, w.ctl("mirror", "report", "m1", "-o", "markdown").out, w.ctl("mirror", "diffs", "m1", "--state", "all").out,
		w.ctl("mirror", "explain", "m1", "1").out, w.ctl("mirror", "list", "-o", "json").out, w.ctl("history", "-o", "json").out, metricsOf(t, w.Server.HTTP),
	}
	if !strings.Contains(shown[0], `"kind": "json_`) {
		t.Fatalf("the report shows no differences, so it could not leak any: %.300s", shown[0])
	}
	if _, err := w.API.StopMirror(t.Context(), &crossfadev1.StopMirrorRequest{Name: "m1"}); err != nil {
		t.Fatal(err)
	}
	w.Stack.Close() // all that is kept is on disk now
	for i, text := range shown {
		clean(t, fmt.Sprintf("what was shown, %d", i), []byte(text))
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	clean(t, "the log of server and comparator", text)
	clean(t, "something that was kept", files(t, data))
}

func ask(t *testing.T, target string, n int) {
	t.Helper()
	paths := []string{"/users/%s", "/users/%s/refused", "/broken/%s", "/search?q=%s", "/logout?token=%s", "/%s"}
	path := fmt.Sprintf(paths[n%len(paths)], planted[n%2])
	method, body := http.MethodGet, ""
	if n%5 == 4 {
		method, body = http.MethodPost, strings.Join(planted, "\n")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "orders.test"
	req.Header.Set("Authorization", "Bearer "+planted[0])
	req.Header.Set("Cookie", fmt.Sprintf("session=%s%d", planted[0], n))
	req.Header.Set("X-Patient", planted[1])
	req.Header.Set("User-Agent", planted[1])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// clean fails the test if a text has what is planted, in any case, or coded as text often is.
func clean(t *testing.T, what string, text []byte) {
	t.Helper()
	if len(text) == 0 {
		t.Errorf("%s is empty: nothing was looked at", what)
	}
	text = bytes.ToLower(text)
	for _, s := range planted {
		b := []byte(s)
		for _, form := range []string{s, s[:len(s)-3], hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b)[:12], strings.NewReplacer("@", "%40").Replace(s), strings.NewReplacer("@", "-", ".", "-").Replace(s)} {
			if i := bytes.Index(text, bytes.ToLower([]byte(form))); i >= 0 {
				t.Errorf("%s has %q: …%s…", what, form, text[max(0, i-80):min(len(text), i+80)])
			}
		}
	}
}

// files is all that is in a folder, but for what proxies log.
func files(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "proxy-") {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func metricsOf(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(b, []byte("crossfade_mirror_total")) {
		t.Fatalf("metrics without mirrors: %v", err)
	}
	return string(b)
}
