package promtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	startTimeout = time.Minute      // alone it takes less than a second
	awaitTimeout = 30 * time.Second // a value is there two seconds after its target
)

const config = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: test
  static_configs:
  - targets: [%s]
`

// Server is a Prometheus of a test. Its methods fail the test.
type Server struct {
	URL string // http://HOST:PORT

	t    testing.TB
	log  string // path
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts a Prometheus that scrapes the targets, each an ADDRESS:PORT, at /metrics, and returns when it is ready. It ends with the
// test.
func Start(t testing.TB, targets ...string) *Server {
	t.Helper()
	binary, err := Binary(context.Background(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &Server{t: t, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	if err := s.run(binary, dir, targets); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("prometheus printed last:\n%s", s.lastLines(40))
		}
	})
	ctx, cancel := context.WithTimeoutCause(context.Background(), startTimeout, errors.New("it is not ready"))
	defer cancel()
	err = poll.Until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		select {
		case <-s.done:
			cancel()
			return fmt.Errorf("it has exited: %v", s.cmd.ProcessState)
		default:
		}
		if err := s.findURL(); err != nil {
			return err
		}
		_, err := s.get(ctx, "/-/ready")
		return err
	})
	if err != nil {
		t.Fatalf("prometheus: %v", err)
	}
	return s
}

// run starts the process.
func (s *Server) run(binary, dir string, targets []string) error {
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, strings.Join(targets, ", ")), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+loopback.Host()+":0", "--log.format=logfmt", "--scrape.discovery-reload-interval=100ms") // else the first scrape comes after 5 s
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = child.Attributes()
	return child.Start(s.cmd, s.done)
}

var listening = regexp.MustCompile(`msg="Listening on" .*address=(127\.[0-9.:]+)`)

// findURL reads in the log which port it has got.
func (s *Server) findURL() error {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	m := listening.FindSubmatch(text)
	if m == nil {
		return errors.New("it does not listen yet")
	}
	s.URL = "http://" + string(m[1])
	return nil
}

// Await waits until a query is answered with a value.
func (s *Server) Await(query string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), awaitTimeout)
	defer cancel()
	err := poll.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		body, err := s.get(ctx, "/api/v1/query?query="+url.QueryEscape(query))
		if err != nil {
			return err
		}
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if len(answer.Data.Result) == 0 {
			return errors.New("no value")
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("prometheus, %s: %v", query, err)
	}
}

func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(http.MaxBytesReader(nil, resp.Body, 1<<20)); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.200s", resp.Status, b.String())
	}
	return b.Bytes(), nil
}

// Kill ends the server at once; connections to its port are refused from then on. It may be called more than once.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// lastLines returns the end of the log.
func (s *Server) lastLines(n int) string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
