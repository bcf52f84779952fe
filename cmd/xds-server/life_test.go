package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/version"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAServerFromStartToEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	p := launch(t, dir, "--advertise", "control.test")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	if p.ready.Version != version.String() {
		t.Errorf("version %q", p.ready.Version)
	}
	for name, address := range map[string]string{"xds": p.ready.XDS, "comparator": p.ready.Comparator, "api": p.ready.API, "http": p.ready.HTTP} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
		if !strings.Contains(p.stderr.String(), address) {
			t.Errorf("the log does not name %s, the address of %s", address, name)
		}
	}
	if missing := lacks(p.stderr.String(), []string{"shadowctl bootstrap --fleet default", "envoy -c bootstrap.yaml", "shadowctl --server control.test:"}); len(missing) > 0 {
		t.Errorf("the start lacks %q", missing)
	}
	if code, body := get(t, "http://"+p.ready.HTTP+"/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	welcomes(t, p.ready.Comparator)
	client := p.client()
	if _, err := client.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders()}}); err != nil {
		t.Fatal(err)
	}
	info, err := client.GetServerInfo(t.Context(), &crossfadev1.GetServerInfoRequest{})
	if _, port, _ := net.SplitHostPort(p.ready.XDS); err != nil || info.GetAddresses()["xds"] != "control.test:"+port || info.GetRevision() != 1 || info.GetVersion() != version.String() {
		t.Errorf("info: %v, %v", info, err)
	}
	code, body := get(t, "http://"+p.ready.HTTP+"/metrics")
	if missing := lacks(body, []string{`crossfade_split_weight{origin="ecs",service="orders"} 10000`, `crossfade_revision{kind="intent"} 1`, "crossfade_store_write_seconds_count 1"}); code != 200 || len(missing) > 0 {
		t.Errorf("/metrics: %d, lacks %q", code, missing)
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (crossfade_\S+) `).FindAllStringSubmatch(body, -1) {
		if !strings.Contains(string(page), "| `"+name[1]+"` |") {
			t.Errorf("docs/metrics.md lacks %s", name[1])
		}
	}
	p.signal(syscall.SIGTERM)
	if exit := p.exit(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	if _, err := os.Stat(p.file); !os.IsNotExist(err) {
		t.Errorf("the ready file %s after the end: %v", p.file, err)
	}
	if left, _ := filepath.Glob(filepath.Dir(p.file) + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTheLogIsJSONWhereThatIsWanted(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"), "--log-format", "json")
	p.signal(syscall.SIGINT)
	if exit := p.exit(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	for line := range strings.Lines(p.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestWhatWasAnsweredIsThereAfterAKill(t *testing.T) {
	dir, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "ready.json")
	p := launchAt(t, dir, file)
	for eks := int32(1); eks <= 3; eks++ {
		client := p.client()
		if _, err := client.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders()}}); err != nil {
			t.Fatal(err)
		}
		set, err := client.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": eks}})
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Process.Kill()
		<-p.ended
		p = launchAt(t, dir, file) // where the old file still is
		got, err := p.client().Get(t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: "orders"})
		if err != nil || got.GetStatus().GetSplit()["eks"] != eks || got.GetStatus().GetRevision() != set.GetChange().GetRevision() {
			t.Fatalf("after the kill: %v, %v; want %v", got, err, set)
		}
	}
}

// silentProxy is a proxy that connects and never acknowledges anything.
func silentProxy(t *testing.T, p *process) discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.ready.XDS, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: "deaf", Cluster: "default"}, TypeUrl: resource.ClusterType}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// waiting has a change wait for a proxy that never acknowledges, until the server says that it is live.
func waiting(t *testing.T, p *process) <-chan error {
	t.Helper()
	client := p.client()
	if _, err := client.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders()}}); err != nil {
		t.Fatal(err)
	}
	silentProxy(t, p)
	watch, err := client.Watch(t.Context(), &crossfadev1.WatchRequest{Service: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Header(); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := client.SetSplit(context.Background(), &crossfadev1.SetSplitRequest{
			Service: "orders", Weights: map[string]int32{"eks": 5000}, Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(deadline)},
		})
		answer <- err
	}()
	for {
		e, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if e.GetRevision().GetAction() == "split set" {
			return answer
		}
	}
}

func TestSIGTERMTellsWhoWaitsThatTheChangeStands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, dir)
	conn, err := grpc.NewClient("passthrough:///"+p.ready.API, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	health, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := health.Recv(); err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health before: %v, %v", got, err)
	}
	answer := waiting(t, p)
	p.signal(syscall.SIGTERM)
	if got, err := health.Recv(); err == nil && got.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while stopping: %v", got)
	}
	err = <-answer
	s := status.Convert(err)
	if s.Code() != codes.DeadlineExceeded || !strings.Contains(s.Message(), "the server is stopping; the change stands") || !strings.Contains(s.Message(), "deaf") {
		t.Errorf("the wait ends with %v", err)
	}
	if exit := p.exit(); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	again := launch(t, dir)
	got, err := again.client().Get(t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: "orders"})
	if err != nil || got.GetStatus().GetSplit()["eks"] != 5000 {
		t.Errorf("after the restart: %v, %v", got, err)
	}
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	p := launch(t, filepath.Join(t.TempDir(), "data"))
	waiting(t, p)
	p.signal(syscall.SIGTERM)
	p.await("the log to say so", func() bool { return strings.Contains(p.stderr.String(), "stopping") })
	p.signal(syscall.SIGTERM)
	p.exit()
	if ws, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want by the signal", p.ProcessState)
	}
}
