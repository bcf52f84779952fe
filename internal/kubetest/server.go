package kubetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// startTimeout is how long an API server may take to be ready. Alone it takes seconds.
const startTimeout = 2 * time.Minute

// Server is an API server of a test. Its methods fail the test.
type Server struct {
	URL string // https://HOST:PORT; the same after a restart
	CA  []byte // the certificate to trust, in PEM

	t      testing.TB
	binary string
	dir    string
	host   string
	port   *loopback.Port
	client *http.Client

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended; nil if none was started
}

// Start starts an API server that knows [Admin] and the users, and returns when it is ready. It ends with the test.
func Start(t testing.TB, users ...User) *Server {
	t.Helper()
	binary, err := Binary(context.Background(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, binary: binary, dir: t.TempDir(), host: loopback.Host()}
	if s.port, err = loopback.Reserve(s.host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.port.Release)
	s.URL = "https://" + s.port.Addr()
	err = errors.Join(writeKeys(s.dir, s.host), writeTokens(s.path("tokens.csv"), users))
	if err == nil {
		s.CA, err = os.ReadFile(s.path("ca.crt"))
	}
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA)
	s.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("kube-apiserver printed last:\n%s", s.lastLines(60))
		}
	})
	s.Restart()
	return s
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// Restart starts the server, after [Server.Kill] with what it had, and returns when it is ready.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), startTimeout, errors.New("it is not ready"))
	defer cancel()
	err := poll.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		select {
		case <-s.done:
			cancel()
			return fmt.Errorf("it has exited: %v", s.cmd.ProcessState)
		default:
		}
		_, err := s.ask(ctx, http.MethodGet, "/readyz", nil)
		return err
	})
	if err != nil {
		s.t.Fatalf("kube-apiserver: %v", err)
	}
}

// run starts the process.
func (s *Server) run() error {
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, s.path("etcd"), s.host,
		"--bind-address="+s.host, fmt.Sprintf("--secure-port=%d", s.port.Number()), "--permit-port-sharing", "--advertise-address="+s.host,
		"--tls-cert-file="+s.path("tls.crt"), "--tls-private-key-file="+s.path("tls.key"), "--cert-dir="+s.path("certs"),
		"--service-account-key-file="+s.path("accounts.key"), "--service-account-signing-key-file="+s.path("accounts.key"),
		"--service-account-issuer=https://kubetest", "--token-auth-file="+s.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
		"--shutdown-delay-duration=0s", "--v=1",
	)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = child.Attributes()
	done := make(chan struct{})
	if err := child.Start(s.cmd, done); err != nil {
		return err
	}
	s.done = done
	return nil
}

// Kill ends the server at once; connections to its port are refused until [Server.Restart]. It may be called more than once.
func (s *Server) Kill() {
	if s.done == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

// lastLines returns the end of the log.
func (s *Server) lastLines(n int) string {
	text, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
