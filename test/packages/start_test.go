package packages

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

func seconds(t *testing.T, text string) int32 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

// startScript is start.sh as the image of a proxy has it.
func startScript(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "deploy", "container", "start.sh"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStart starts a proxy as a task of ECS does: named and placed by the metadata of the task, ready by a real control plane, and ended by SIGTERM.
func TestStart(t *testing.T) {
	bin := t.TempDir()
	for _, command := range []string{"xds-server", "shadowctl"} {
		if _, err := stack.Build(t.Context(), bin, command); err != nil {
			t.Fatal(err)
		}
	}
	s, err := stack.Start(t.Context(), stack.Config{Binary: filepath.Join(bin, "xds-server"), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	origin := func(name string) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{loopback.Host() + ":8080"}},
		}}
	}
	orders := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: int32(envoytest.Port(t).Number())}, Origins: []*crossfadev1.Origin{origin("ecs"), origin("eks")},
	}
	if _, err := s.API.Apply(t.Context(), &crossfadev1.ApplyRequest{
		Documents: []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: orders}}},
	}); err != nil {
		t.Fatal(err)
	}
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v4/abc-123/task" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"Cluster": "prod","TaskARN":"arn:aws:ecs:eu-central-1:123456789012:task/prod/0f0f0f","Family":"crossfade-proxy",`+
			`"Limits":{"CPU":1,"Memory":2048},"AvailabilityZone":"eu-central-1b","Containers":[{"DockerId":"x","Name":"envoy"}]}`)
	}))
	t.Cleanup(metadata.Close)
	host, run := loopback.Host(), t.TempDir()
	cmd := exec.Command(startScript(t), "--fleet=default", "--xds="+s.Server.XDS, "--listen-address="+host,
		"--ready-address="+host+":10080", "--admin-address="+host+":9901", "--", "--log-level", "error", "--concurrency", "1")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ENVOY="+envoytest.Binary(t, "").Path, "CROSSFADE_RUN="+run,
		"CROSSFADE_GRACE=0", "CROSSFADE_DRAIN=5", "CROSSFADE_ECS_ZONE=yes", "ECS_CONTAINER_METADATA_URI_V4="+metadata.URL+"/v4/abc-123")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		select {
		case err := <-exited:
			cancel()
			return fmt.Errorf("it has ended: %s\n%s", fmt.Sprint(err), log.String())
		default:
		}
		return ask(ctx, "http://"+host+":10080/ready")
	}); err != nil {
		t.Fatal(err)
	}
	bootstrap, err := os.ReadFile(filepath.Join(run, "bootstrap.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`id: "0f0f0f"`, `zone: "eu-central-1b"`} {
		if !strings.Contains(string(bootstrap), want) {
			t.Errorf("the bootstrap has no %s", want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-exited:
		if err != nil || !strings.Contains(log.String(), "drained; 0 requests") {
			t.Errorf("%v\n%s", err, log.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}

// ask wants 200.
func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// TestStartSaysWhatIsWrong: bad flags and a task without metadata end it before Envoy starts.
func TestStartSaysWhatIsWrong(t *testing.T) {
	bin := t.TempDir()
	if _, err := stack.Build(t.Context(), bin, "shadowctl"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, env, says string }{
		{"--node-id=", "", "--node-id"},
		{"--nonsense", "", "nonsense"},
		{"--fleet=default", "CROSSFADE_ECS_ZONE=yes", "is not set: CROSSFADE_ECS_ZONE is for tasks of ECS"},
	} {
		cmd := exec.CommandContext(t.Context(), startScript(t), c.flag, "--", "--version")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ENVOY=/bin/false", "CROSSFADE_RUN="+t.TempDir(), c.env)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s %s: %v, %s; want %q", c.flag, c.env, err, out, c.says)
		}
	}
}
