package envoyproc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestMain makes the test binary double as the parent that dies in [TestDiesWithItsParent].
func TestMain(m *testing.M) {
	if os.Getenv("CROSSFADE_TEST_PARENT") != "" {
		p, err := Start(context.Background(), Config{Binary: must(envoybin.Pinned(context.Background(), envoybin.Newest, os.Stderr)), Bootstrap: bootstrap("127.0.0.1:0")})
		if err != nil {
			panic(err)
		}
		fmt.Println(p.PID())
		_, _ = io.Copy(io.Discard, os.Stdin)
		panic("the parent dies without a word to its child")
	}
	os.Exit(m.Run())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// bootstrap is one listener that answers 200 by itself, at an address.
func bootstrap(address string) []byte {
	host, port, _ := strings.Cut(address, ":")
	return fmt.Appendf(nil, `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime: {layers: [{name: base, static_layer: {some.key: 5}}, {name: admin, admin_layer: {}}]}
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: %s, port_value: %s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: orders/ecs
    type: STATIC
    load_assignment: {cluster_name: orders/ecs, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.2, port_value: 1}}}}]}]}
`, host, port)
}

func start(t *testing.T, version string, c Config) *Process {
	t.Helper()
	b, err := envoybin.Pinned(t.Context(), version, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c.Binary = b
	p, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestLife: a reserved port is bound by Envoy, the admin queries answer, SIGTERM ends it, and no file is left.
func TestLife(t *testing.T) {
	for _, version := range []string{envoybin.Newest, envoybin.Oldest} {
		t.Run(version, func(t *testing.T) {
			port, err := loopback.Reserve(loopback.Host())
			if err != nil {
				t.Fatal(err)
			}
			defer port.Release()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			p := start(t, version, Config{Bootstrap: bootstrap(port.Addr()), NodeID: "p1", Cluster: "default"})
			if err := p.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
			if got := get(t, port.Addr()); got != "hello" {
				t.Errorf("got %q", got)
			}
			checkAdmin(ctx, t, p, port.Addr())
			p.Stop(10 * time.Second)
			if err, ended := p.Exited(); err != nil || !ended {
				t.Errorf("after SIGTERM: %v, ended %v", err, ended)
			}
			if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", p.dir, err)
			}
		})
	}
}

func checkAdmin(ctx context.Context, t *testing.T, p *Process, address string) {
	t.Helper()
	if err := p.WaitStat(ctx, "http.web.downstream_rq_2xx", func(n uint64) bool { return n == 1 }); err != nil {
		t.Error(err)
	}
	if n, err := p.Stat(ctx, "http.web.no_such"); err == nil {
		t.Errorf("a statistic that is not there is %d", n)
	}
	if l, err := p.Listeners(ctx); err != nil || l["web"] != address {
		t.Errorf("listeners: %v, %v", l, err)
	}
	if h, err := p.Hosts(ctx); err != nil || len(h) != 1 || h[0].Cluster != "orders/ecs" || h[0].Address != "127.0.0.2:1" || h[0].Health != "HEALTHY" || h[0].Failing != nil {
		t.Errorf("hosts: %+v, %v", h, err)
	}
	if err := p.ModifyRuntime(ctx, map[string]string{"some.key": "7", "a.b/c": "1"}); err != nil {
		t.Error(err)
	}
	if r, err := p.Runtime(ctx); err != nil || r["some.key"] != "7" || r["a.b/c"] != "1" {
		t.Errorf("runtime: %v, %v", r, err)
	}
	if d, err := p.ConfigDump(ctx, "?resource=static_clusters"); err != nil || !strings.Contains(string(d), "orders/ecs") {
		t.Errorf("config dump: %s, %v", d, err)
	}
	if _, err := p.Get(ctx, "/no-such-page"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a page that is not there: %v", err)
	}
}

// TestKillLeavesNoSharedMemory: an Envoy that is killed cannot remove its own.
func TestKillLeavesNoSharedMemory(t *testing.T) {
	p := start(t, envoybin.Newest, Config{Bootstrap: bootstrap("127.0.0.1:0")})
	id, err := os.ReadFile(p.baseIDPath())
	if err != nil {
		t.Fatal(err)
	}
	shm := "/dev/shm/envoy_shared_memory_" + strings.TrimSpace(string(id)) + "0"
	if _, err := os.Stat(shm); err != nil {
		t.Fatalf("it is called something else now: %v", err)
	}
	p.Kill()
	if _, err := os.Stat(shm); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", shm, err)
	}
}

// TestHangAndStop: a stopped process answers nothing, and can still be ended.
func TestHangAndStop(t *testing.T) {
	p := start(t, envoybin.Newest, Config{Bootstrap: bootstrap("127.0.0.1:0")})
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := p.Ready(ctx); err == nil {
		t.Error("a stopped process answered")
	}
	p.Stop(10 * time.Second)
	if _, ended := p.Exited(); !ended {
		t.Error("it still runs")
	}
}

func TestStartFailsInEnvoysWords(t *testing.T) {
	b := must(envoybin.Pinned(t.Context(), envoybin.Newest, t.Output()))
	for name, c := range map[string]struct{ bootstrap, words string }{
		"not YAML":         {"a: [", "end of sequence flow not found"},
		"no such field":    {"no_such_field: 1", "no_such_field"},
		"no admin":         {"static_resources: {}", "admin address"},
		"port not to bind": {"admin: {address: {socket_address: {address: 203.0.113.1, port_value: 1}}}", "203.0.113.1"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			p, err := Start(ctx, Config{Binary: b, Bootstrap: []byte(c.bootstrap)})
			if err == nil {
				p.Kill()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.words) {
				t.Errorf("no %q in: %v", c.words, err)
			}
		})
	}
}

// TestDiesWithItsParent: the parent panics, the kernel ends the child.
func TestDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CROSSFADE_TEST_PARENT=1")
	stdin, stdout := must(parent.StdinPipe()), must(parent.StdoutPipe())
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := must(strconv.Atoi(strings.TrimSpace(line)))
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	stdin.Close()
	if err := parent.Wait(); err == nil {
		t.Error("the parent did not panic")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, poll.True(func() bool { return gone(pid) })); err != nil {
		t.Errorf("the child outlives its parent: %v", err)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// gone is true for a process that does not exist, or is dead and waits to be collected.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

func TestTailKeepsTheEnd(t *testing.T) {
	var l tail
	for i := range 400_000 {
		fmt.Fprintf(&l, "line %d\n", i)
	}
	got := l.String()
	if len(got) != tailBytes || !strings.HasSuffix(got, "line 399999\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-20:])
	}
}
