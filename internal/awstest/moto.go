package awstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossfade-proxy/crossfade/internal/child"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// motoTimeout is how long moto may take to be ready. Alone it takes half a second.
const motoTimeout = time.Minute

// Moto is a moto_server of a test.
type Moto struct {
	URL string // http://HOST:PORT, on loopback

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  string
}

// StartMoto starts a moto_server that knows nothing yet, and returns when it answers. It ends with the test, and shows what it printed if
// the test failed.
func StartMoto(t testing.TB) *Moto {
	t.Helper()
	server, err := motoServer(context.Background(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	port, err := loopback.Reserve(loopback.Host())
	if err != nil {
		t.Fatal(err)
	}
	port.Release() // it binds without SO_REUSEPORT; the host is ours alone
	m := &Moto{URL: "http://" + port.Addr(), t: t, log: filepath.Join(t.TempDir(), "moto.log")}
	if err := m.start(server, port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	err = m.ready()
	if err == nil {
		err = m.keepTasks()
	}
	if err != nil {
		t.Fatalf("moto_server: %v", err)
	}
	return m
}

func (m *Moto) start(server string, at *loopback.Port) error {
	log, err := os.Create(m.log)
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(server, "-H", at.Host(), "-p", strconv.Itoa(at.Number()))
	// It asks nobody else: with these it has no identity to ask with, and no metadata service.
	m.cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true", "AWS_ACCESS_KEY_ID=moto", "AWS_SECRET_ACCESS_KEY=moto", "PYTHONDONTWRITEBYTECODE=1")
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = child.Attributes()
	m.done = make(chan struct{})
	return child.Start(m.cmd, m.done)
}

// ready waits until it answers.
func (m *Moto) ready() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), motoTimeout, errors.New("it does not answer"))
	defer cancel()
	return poll.Until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		select {
		case <-m.done:
			cancel()
			return fmt.Errorf("it has exited: %v", m.cmd.ProcessState)
		default:
		}
		return m.ask(ctx)
	})
}

func (m *Moto) ask(ctx context.Context) error {
	return m.send(ctx, http.MethodGet, "/moto-api/data.json", "")
}

// keepTasks makes tasks of ECS run until they are stopped: by default, each description of one brings it a step nearer to its end.
func (m *Moto) keepTasks() error {
	return m.send(context.Background(), http.MethodPost, "/moto-api/state-manager/set-transition",
		`{"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1000000000}}`)
}

func (m *Moto) send(ctx context.Context, method, path, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, m.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("it answers %s %s with %s", method, path, response.Status)
	}
	return nil
}

func (m *Moto) end() {
	_ = m.cmd.Process.Kill()
	<-m.done
	if text, err := os.ReadFile(m.log); err == nil && m.t.Failed() {
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		m.t.Logf("moto_server printed last:\n%s", bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
	}
}

// Config is for clients of the SDK: all services are at this server, and it takes any identity.
func (m *Moto) Config(region string) aws.Config { return config(m.URL, region) }
