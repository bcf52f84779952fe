package envoy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestRunScript ends a proxy under load: it turns red, keeps serving, lets a slow request finish, and exits 0 with nothing lost.
func TestRunScript(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		slow := make(chan struct{})
		p := newProxy(t, envoy.Bootstrap{}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				w.(http.Flusher).Flush()
				<-slow
				fmt.Fprint(w, "slow")
			}
		})
		p.serve()
		p.ads.Set(translate.Ready(true))
		file := filepath.Join(t.TempDir(), "bootstrap.yaml")
		if err := os.WriteFile(file, p.bootstrapBytes, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("./run.sh", file, "--log-level", "error", "--concurrency", "1")
		cmd.Env = append(os.Environ(), "ENVOY="+envoytest.Binary(t, version).Path, "CROSSFADE_GRACE=1", "CROSSFADE_DRAIN=20")
		var log lockedBuffer
		cmd.Stdout, cmd.Stderr = &log, &log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		p.awaitReady(t, 200)

		slowBody := make(chan string, 1)
		resp, err := http.Get("http://" + p.listener.Addr() + "/slow")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			slowBody <- fmt.Sprint(string(b), err)
		}()

		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.awaitReady(t, 503)
		var served atomic.Int64
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); served.Add(1) { // into the draining
			if status, _ := ask(t, "http://"+p.listener.Addr()+"/"); status != 200 {
				t.Fatalf("while it lets go: %d\n%s", status, log.String())
			}
		}
		select {
		case err := <-exited:
			t.Fatalf("it has gone before the slow request ended: %v\n%s", err, log.String())
		default:
		}
		close(slow)
		if got := <-slowBody; got != "slow<nil>" {
			t.Errorf("the slow request got %q", got)
		}
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("%v\n%s", err, log.String())
			}
		case <-time.After(15 * time.Second):
			t.Fatalf("it does not end\n%s", log.String())
		}
		if !strings.Contains(log.String(), "drained; 0 requests and ") {
			t.Errorf("%s", log.String())
		}
		t.Logf("%d requests served after SIGTERM", served.Load())
	})
}

// TestRunScriptEndsWithEnvoy: the status of an Envoy that ends by itself is handed on.
func TestRunScriptEndsWithEnvoy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(file, []byte("static_resources: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./run.sh", file)
	cmd.Env = append(os.Environ(), "ENVOY="+envoytest.Binary(t, "").Path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("./run.sh").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 || !slices.Contains(strings.Fields(string(out)), "usage:") {
		t.Errorf("without arguments: %v\n%s", err, out)
	}
}

// lockedBuffer may be read while a process writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
