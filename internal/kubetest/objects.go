package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// ask sends a request as [Admin], and returns the body of an answer of class 2xx.
func (s *Server) ask(ctx context.Context, method, path string, object any) ([]byte, error) {
	var body io.Reader = http.NoBody
	if object != nil {
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token(Admin))
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return text, err
}

func (s *Server) must(method, path string, object any) []byte {
	s.t.Helper()
	text, err := s.ask(context.Background(), method, path, object)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// Create posts an object to a collection, for example /api/v1/namespaces, and returns the answer.
func (s *Server) Create(collection string, object any) []byte {
	s.t.Helper()
	return s.must(http.MethodPost, collection, object)
}

// Replace puts an object in the place of the one at path.
func (s *Server) Replace(path string, object any) {
	s.t.Helper()
	s.must(http.MethodPut, path, object)
}

// Delete deletes the object at path, or all of a collection.
func (s *Server) Delete(path string) {
	s.t.Helper()
	s.must(http.MethodDelete, path, nil)
}

// Namespace creates a namespace and returns its name, which begins with prefix.
func (s *Server) Namespace(prefix string) string {
	s.t.Helper()
	var created struct {
		Metadata struct{ Name string }
	}
	text := s.Create("/api/v1/namespaces", map[string]any{"metadata": map[string]any{"generateName": prefix + "-"}})
	if err := json.Unmarshal(text, &created); err != nil {
		s.t.Fatal(err)
	}
	return created.Metadata.Name
}

// Kubeconfig writes a kubeconfig of a user and returns its path. Its current context, "user", is the user; "stranger" shows a token that
// nobody has, "nobody" none at all.
func (s *Server) Kubeconfig(user string) string {
	s.t.Helper()
	type named = map[string]any
	login := func(name, token string) named {
		u := named{}
		if token != "" {
			u["token"] = token
		}
		return named{"name": name, "user": u}
	}
	context := func(name string) named {
		return named{"name": name, "context": named{"cluster": "test", "user": name}}
	}
	config := named{
		"apiVersion": "v1", "kind": "Config", "current-context": "user",
		"clusters": []named{{"name": "test", "cluster": named{"server": s.URL, "certificate-authority-data": s.CA}}},
		"users":    []named{login("user", token(user)), login("stranger", "made-up"), login("nobody", "")},
		"contexts": []named{context("user"), context("stranger"), context("nobody")},
	}
	text, err := json.Marshal(config) // JSON is YAML
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := os.CreateTemp(s.dir, "kubeconfig-*")
	if err == nil {
		_, err = f.Write(text)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	return f.Name()
}

var metricLine = regexp.MustCompile(`^([a-z_]+)\{(.*)\} ([0-9.e+]+)$`)

// Metric returns the sum of the server's metrics of a name that have all these labels, each as `name="value"`.
func (s *Server) Metric(name string, labels ...string) float64 {
	s.t.Helper()
	sum := 0.0
lines:
	for line := range strings.Lines(string(s.must(http.MethodGet, "/metrics", nil))) {
		m := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[1] != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(","+m[2]+",", ","+label+",") {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			s.t.Fatalf("metric %s: %v", line, err)
		}
		sum += value
	}
	return sum
}
